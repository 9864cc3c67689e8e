package server

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// program writes a shell script that stands for metalrank.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "metalrank")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

const says = `echo 'msg="serving metrics and profiles" address=127.0.0.1:2' >&2
echo 'msg=serving address=127.0.0.1:1 model=x' >&2
`

func TestServer(t *testing.T) {
	var lines []string
	s, err := Start(program(t, `trap 'echo "msg=request path=/rerank" >&2; exit 0' TERM
head -c 200000 /dev/zero | tr '\0' x >&2; echo >&2
`+says+`echo again msg=serving address=127.0.0.1:3 >&2; while :; do sleep 0.01; done`), func(line string) { lines = append(lines, line) })
	if err != nil {
		t.Fatal(err)
	}
	if s.Address != "127.0.0.1:1" || s.Admin != "127.0.0.1:2" {
		t.Errorf("%+v", s)
	}
	if err := s.End(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if last := lines[len(lines)-1]; last != "msg=request path=/rerank" || strings.Contains(s.log.String(), "msg=request") {
		t.Errorf("the last line is %.100q", last)
	}
}

// The error has the program's last words, however it fails.
func TestServerFails(t *testing.T) {
	if _, err := Start(program(t, "echo no such model >&2; exit 1"), nil); err == nil || !strings.Contains(err.Error(), "no such model") {
		t.Error(err)
	}
	if _, err := Start("/no/such/program", nil); err == nil {
		t.Error("a program that isn't there was started")
	}
	for _, c := range []struct {
		script string
		signal os.Signal
		want   string
	}{
		{`trap 'echo out of memory >&2; exit 3' TERM` + "\n" + says + `while :; do sleep 0.01; done`, syscall.SIGTERM, "out of memory"},
		{says + `exec sleep 600`, syscall.SIGTERM, "signal: terminated"},
		{"echo it died >&2\n" + says + `exit 1`, syscall.SIGTERM, "it died"},
	} {
		s, err := Start(program(t, c.script), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.End(c.signal); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.script, err, c.want)
		}
	}
	s, err := Start(program(t, says+`exec sleep 600`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.End(os.Kill); err != nil {
		t.Error(err)
	}
}
