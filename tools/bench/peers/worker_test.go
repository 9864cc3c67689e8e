package main

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/metalrank/metalrank/tools/bench/peers/wire"
)

// shell starts a worker that is a few lines of shell.
func shell(t *testing.T, script string, timeout time.Duration) (*worker, error) {
	t.Helper()
	return startWorker(peerName{"shell", "fp32"}, exec.CommandContext(context.Background(), "sh", "-c", script), timeout)
}

func TestWorker(t *testing.T) {
	w, err := shell(t, `echo '{"ready": true, "details": "v1"}'; while read -r line; do echo '{"gflops": 5}'; done`, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if w.details != "v1" {
		t.Errorf("details %q", w.details)
	}
	for range 2 {
		if reply, err := w.do(wire.Command{Op: wire.Measure}, time.Minute); err != nil || reply.GFLOPS != 5 {
			t.Errorf("%+v, %v", reply, err)
		}
	}
}

func TestWorkerFails(t *testing.T) {
	for script, want := range map[string]string{
		`echo no module >&2; exit 1`:                         "no module",
		`echo '{"error": "no bf16"}'; cat >/dev/null`:        "no bf16",
		`echo '{}'; cat >/dev/null`:                          "first reply",
		`echo 'Welcome!'; cat >/dev/null`:                    "unreadable reply",
		`printf '{"ready": tr'; echo killed >&2; kill -9 $$`: "killed",
		// Its output ends well before it says why.
		`exec >&-; sleep 0.1; echo some words >&2; exit 1`: "some words",
	} {
		if _, err := shell(t, script, time.Minute); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", script, err, want)
		}
	}
	if _, err := shell(t, `exec sleep 600`, time.Millisecond); err == nil || !strings.Contains(err.Error(), "no reply in 1ms") {
		t.Errorf("a worker that says nothing: %v", err)
	}
}

// A worker that was ready and then doesn't answer is ended, and all that it said is in the error.
func TestWorkerFallsSilent(t *testing.T) {
	const script = `echo some words >&2; echo '{"ready": true}'; `
	for rest, want := range map[string]string{`exec sleep 600`: "no reply in 1ms", `exit 1`: ""} {
		w, err := shell(t, script+rest, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.do(wire.Command{Op: wire.Measure}, time.Millisecond)
		if err == nil || !strings.Contains(err.Error(), "some words") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q and its words", rest, err, want)
		}
		w.close()
	}
}
