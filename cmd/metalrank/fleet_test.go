package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFleetHAProxy(t *testing.T) {
	const nodes = "nodes: [{name: a, address: '127.0.0.1:1', agent: '127.0.0.1:2'}]\n"
	const line = "server a 127.0.0.1:1 weight 100 agent-check agent-addr 127.0.0.1 agent-port 2"
	status, out, problems := runWith(t, nodes, "fleet", "haproxy", "-")
	if status != 0 || !strings.Contains(out, line) {
		t.Errorf("status %d, %s\n%s", status, problems, out)
	}
	in, file := filepath.Join(t.TempDir(), "nodes.yaml"), filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(in, []byte(nodes), 0o600); err != nil {
		t.Fatal(err)
	}
	status, printed, problems := runWith(t, "", "fleet", "haproxy", in, "-o", file)
	if written, err := os.ReadFile(file); status != 0 || printed != "" || err != nil || string(written) != out {
		t.Errorf("status %d, %s%s, %v", status, problems, printed, err)
	}
	status, out, problems = runWith(t, "nodes: [{name: a, adress: b}]", "fleet", "haproxy", "-")
	if status != exitFailed || out != "" || !strings.Contains(problems, "adress") {
		t.Errorf("status %d, %s%s", status, out, problems)
	}
}
