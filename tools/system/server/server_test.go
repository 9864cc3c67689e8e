package server

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// start starts a shell script that stands for metalrank.
func start(t *testing.T, script string, line func(string)) (*Server, error) {
	t.Helper()
	return Start(t.Context(), exec.Command("sh", "-c", script), line)
}

const says = `echo 'msg="serving metrics and profiles" address=127.0.0.1:2' >&2
echo 'msg=serving address=127.0.0.1:1 model=x' >&2
`

func TestServer(t *testing.T) {
	var lines []string
	script := `trap 'echo "msg=request path=/rerank" >&2; exit 0' TERM
head -c 200000 /dev/zero | tr '\0' x >&2; echo >&2
` + says + `echo again msg=serving address=127.0.0.1:3 >&2; while :; do sleep 0.01; done`
	s, err := start(t, script, func(line string) { lines = append(lines, line) })
	if err != nil {
		t.Fatal(err)
	}
	if s.Address != "127.0.0.1:1" || s.Admin != "127.0.0.1:2" {
		t.Errorf("%+v", s)
	}
	if err := s.End(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	log := s.Explain(errors.New("the log")).Error()
	if last := lines[len(lines)-1]; last != "msg=request path=/rerank" || strings.Contains(log, "msg=request") {
		t.Errorf("the last line is %.100q", last)
	}
}

// The error has the program's last words, however it fails.
func TestServerFails(t *testing.T) {
	_, err := start(t, "echo no such model >&2; exit 1", nil)
	if err == nil || !strings.Contains(err.Error(), "no such model") {
		t.Error(err)
	}
	if _, err := Start(t.Context(), exec.Command("/no/such/program"), nil); err == nil {
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
		s, err := start(t, c.script, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.End(c.signal); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.script, err, c.want)
		}
	}
	s, err := start(t, says+`exec sleep 600`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.End(os.Kill); err != nil {
		t.Error(err)
	}
}
