package main

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/metalrank/metalrank/tools/peers/wire"
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
		`echo no module >&2; exit 1`:                    "no module",
		`echo '{"error": "no bf16"}'; cat >/dev/null`:   "no bf16",
		`echo '{}'; cat >/dev/null`:                     "first reply",
		`echo 'Welcome!'; cat >/dev/null`:               "unreadable reply",
		`echo some words >&2; exec sleep 20 >/dev/null`: "some words",
		`exec sleep 20`:                                 "no reply in 500ms",
	} {
		_, err := shell(t, script, 500*time.Millisecond)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", script, err, want)
		}
	}
}
