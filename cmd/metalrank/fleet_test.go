package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFleetHAProxy(t *testing.T) {
	const nodes = "nodes: [{name: a, address: '127.0.0.1:1', agent: '127.0.0.1:2'}]\n"
	const line = "server a 127.0.0.1:1 weight 100 agent-check agent-addr 127.0.0.1 agent-port 2"
	status, out, problems := execute(t, t.Context(), nodes, "fleet", "haproxy", "-")
	if status != 0 || !strings.Contains(out, line) {
		t.Errorf("status %d, %s\n%s", status, problems, out)
	}
	in, file := filepath.Join(t.TempDir(), "nodes.yaml"), filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(in, []byte(nodes), 0o600); err != nil {
		t.Fatal(err)
	}
	status, printed, problems := execute(t, t.Context(), "", "fleet", "haproxy", in, "-o", file)
	if written, err := os.ReadFile(file); status != 0 || printed != "" || err != nil || string(written) != out {
		t.Errorf("status %d, %s%s, %v", status, problems, printed, err)
	}
	status, out, problems = execute(t, t.Context(), "nodes: [{name: a, addr: b}]", "fleet", "haproxy", "-")
	if status != exitFailed || out != "" || !strings.Contains(problems, "addr") {
		t.Errorf("status %d, %s%s", status, out, problems)
	}
}

// TestServeAgent asks a server for its report, before it is told to stop and after.
func TestServeAgent(t *testing.T) {
	log := serve(t, "--listen=127.0.0.1:0", "--agent-listen=127.0.0.1:0", "--drain-delay=1s")
	address := log.await(t, `"serving the agent check" address=(\S+)`)
	log.await(t, serving)
	report := func() string {
		t.Helper()
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		text, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got := report(); got != "up ready 100%\n" {
		t.Errorf("idle: %q", got)
	}
	log.stop()
	log.await(t, `msg=stopping`)
	if got := report(); got != "up drain\n" {
		t.Errorf("stopping: %q", got)
	}
}
