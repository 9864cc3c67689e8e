package process

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

func shell(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Pipe(exec.Command("sh", "-c", script))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

var errSilent = errors.New("it said nothing")

// The last words are complete in every way that Output ends.
func TestLastWordsAreWhole(t *testing.T) {
	for _, script := range []string{
		`echo the end >&2; exit 1`,
		`exec >&-; sleep 0.1; echo the end >&2`,
		`echo the end >&2; kill -9 $$`,
		`head -c 300000 /dev/zero | tr '\0' x >&2; echo the end >&2`,
	} {
		p := shell(t, script)
		if text, err := io.ReadAll(p.Output); len(text) > 0 || err != nil {
			t.Errorf("%s: %q, %v", script, text, err)
		}
		if text := p.log.String(); !strings.HasSuffix(text, "the end") {
			t.Errorf("%s: at the end of its output, its last words are %q", script, text)
		}
		if err := p.Explain(errSilent); !errors.Is(err, errSilent) || !strings.HasSuffix(err.Error(), "the end") {
			t.Errorf("%s: %v", script, err)
		}
	}
}

func TestProcessAnswers(t *testing.T) {
	p := shell(t, `while read -r line; do echo "you said $line"; done; echo bye >&2`)
	lines := bufio.NewScanner(p.Output)
	for _, word := range []string{"a", "b"} {
		if _, err := io.WriteString(p.Input, word+"\n"); err != nil {
			t.Fatal(err)
		}
		if !lines.Scan() || lines.Text() != "you said "+word {
			t.Errorf("%q, %v", lines.Text(), lines.Err())
		}
	}
	if err := p.Explain(errSilent); !strings.HasSuffix(err.Error(), "bye") {
		t.Error(err)
	}
}

// Close ends a program with unread output, too, and one that doesn't end with its input.
func TestCloseEndsIt(t *testing.T) {
	p := shell(t, `while echo more; do :; done`)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	p = shell(t, `exec sleep 600`)
	if err := p.End(os.Kill); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Pipe(exec.Command("/no/such/program")); err == nil {
		t.Error("a program that isn't there was started")
	}
}

var number = regexp.MustCompile(`number (\d+)`)

// Await finds a line that came before it, and the last one without an end; the log is kept without some lines.
func TestAwait(t *testing.T) {
	for script, want := range map[string]string{
		`echo secret; echo number 7; echo number 8; exec sleep 600`: "7",
		`echo secret >&2; printf 'number 7' >&2; exit 1`:            "7",
		`echo secret; echo the end; exit 1`:                         "",
	} {
		log := NewLog(number, func(line string) bool { return line != "secret" })
		p, err := Start(exec.Command("sh", "-c", script), log)
		if err != nil {
			t.Fatal(err)
		}
		match, err := p.Await(t.Context(), log, time.Minute)
		if want != "" && (err != nil || match[1] != want) {
			t.Errorf("%s: %q, %v", script, match, err)
		}
		if want == "" && (err == nil || !strings.HasSuffix(err.Error(), "(exit status 1); its last words:\nthe end")) {
			t.Errorf("%s: %v", script, err)
		}
		if err := p.Explain(errSilent); strings.Contains(err.Error(), "secret") {
			t.Error(err)
		}
	}
}

func TestWaitAndEnd(t *testing.T) {
	for script, want := range map[string]string{
		"exit 0": "", "echo the end; exit 3": "exit status 3; its last words:\nthe end",
	} {
		p, err := Start(exec.Command("sh", "-c", script), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v, want %q", script, err, want)
		}
		if err := p.End(os.Kill); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("%s: killed when it had ended: %v", script, err)
		}
	}
}

func TestLog(t *testing.T) {
	var log Log
	for range 3 {
		if n, err := log.Write([]byte(strings.Repeat("x", tailBytes-1) + "\n")); n != tailBytes || err != nil {
			t.Fatal(n, err)
		}
	}
	if _, err := log.Write([]byte("the end\n")); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); len(text) > tailBytes || !strings.HasSuffix(text, "the end") {
		t.Errorf("%d bytes, ending in %q", len(text), text[len(text)-20:])
	}
}
