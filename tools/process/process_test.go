package python

import (
	"bufio"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

func shell(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(exec.Command("sh", "-c", script))
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
	p.Kill()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Start(exec.Command("/no/such/program")); err == nil {
		t.Error("a program that isn't there was started")
	}
}
