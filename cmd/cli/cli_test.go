package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alecthomas/kong"
)

// grammar is a command line with a flag of each kind.
type grammar struct {
	Plain plain `cmd:""`
	Slow  slow  `cmd:""`
}

// fieldError is an error about a field.
type fieldError struct{ field, got, want string }

func (e *fieldError) Error() string                      { return "package: " + e.field }
func (e *fieldError) Setting() (field, got, want string) { return e.field, e.got, e.want }

type plain struct {
	MaxBatchTokens int         `help:"N."`
	Weight         Assignments `help:"W."`
	Other          string      `help:"O."`
	Kind           string      `enum:"int8,fp16" default:"int8"`
	Needy          string      `needs:"other"`
	Picky          string      `needs:"kind=int*,other=*.txt"`
	Fail           string
	May            string `empty:""`
	File           string `type:"path"`
	Existing       string `type:"existingfile"`
	List           []string
	Wait           time.Duration
	Arg            string `arg:"" optional:""`
}

func (p *plain) Run() error {
	switch p.Fail {
	case "config":
		return fmt.Errorf("model x: %w", &fieldError{"MaxBatchTokens", fmt.Sprint(p.MaxBatchTokens), "more"})
	case "text":
		return errors.New("bad \x1b[31mname\x00 for --other")
	}
	return nil
}

type slow struct{}

func (*slow) Run() error              { select {} }
func (*slow) StopTime() time.Duration { return time.Millisecond }

func try(t *testing.T, ctx context.Context, args ...string) (status int, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	g := &grammar{}
	status = Run(ctx, Program{Name: "prog", Environment: "PROG", Grammar: g}, args, Streams{Out: &out, Err: &errOut})
	return status, errOut.String()
}

// TestErrors wants flags, values and variables in errors, and no control characters.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		variable, value string
		args            []string
		want            string
	}{
		{"", "", []string{"plain", "--fail=config", "--max-batch-tokens=3"}, "prog: model x: --max-batch-tokens is 3, want more\n"},
		{"PROG_MAX_BATCH_TOKENS", "3", []string{"plain", "--fail=config"}, "--max-batch-tokens is 3, want more (--max-batch-tokens comes from PROG_MAX_BATCH_TOKENS)\n"},
		{"PROG_MAX_BATCH_TOKENS", "3", []string{"plain", "--fail=config", "--max-batch-tokens=4"}, "--max-batch-tokens is 4, want more\n"},
		{"PROG_MAX_BATCH_TOKENS", "x", []string{"plain"}, "PROG_MAX_BATCH_TOKENS"},
		{"PROG_KIND", "x", []string{"plain"}, `must be one of "int8","fp16" but got "x" (--kind comes from PROG_KIND)`},
		{"PROG_OTHER", "x", []string{"plain", "--fail=text"}, "bad [31mname for --other (--other comes from PROG_OTHER)\n"},
		{"", "", []string{"plain", "--needy=x"}, "--needy: it has no effect without --other"},
		{"", "", []string{"plain", "--needy=x", "--other=y"}, ""},
		{"", "", []string{"plain", "--picky=x", "--other=a/b.txt"}, ""},
		{"", "", []string{"plain", "--picky=x", "--other=a/b.csv"}, "--picky: it has no effect without --other=*.txt"},
		{"", "", []string{"plain", "--picky=x", "--other=b.txt", "--kind=fp16"}, "--picky: it has no effect without --kind=int*"},
		{"PROG_NEEDY", "x", []string{"plain"}, ""}, // it may be meant for another command
		{"", "", []string{"plain", "--weight=a=1", "--weight=a=2"}, "a is set twice, to 1 and to 2"},
		{"", "", []string{"plain", "--weight=a=1;b=2", "--weight=a=1"}, ""},
		{"", "", []string{"plain", "--weight==1"}, `"=1": want NAME=VALUE`},
		{"", "", []string{"plain", "--other="}, "prog: --other is empty\n"},
		{"", "", []string{"plain", "--other", ""}, "prog: --other is empty\n"},
		{"", "", []string{"plain", "--file="}, "prog: --file is empty\n"},
		{"", "", []string{"plain", "--existing="}, "prog: --existing is empty\n"},
		{"", "", []string{"plain", "--existing=."}, "is a folder, want a file"},
		{"", "", []string{"plain", "--existing=missing"}, "no such file"},
		{"", "", []string{"plain", "--list="}, "prog: --list is empty\n"},
		{"", "", []string{"plain", ""}, "prog: <arg> is empty\n"},
		{"", "", []string{"plain", "--may=", "--file=x", "--existing=cli_test.go", "--list=a,b", "x"}, ""},
		{"PROG_OTHER", "", []string{"plain"}, ""}, // compose files and unit files set unset variables to ""
		{"PROG_FILE", "", []string{"plain"}, ""},
		{"PROG_EXISTING", "", []string{"plain"}, ""},
		{"", "", []string{"plain", "--wait=1"}, "--wait: \"1\" is no duration, want a number with its unit, as 30s or 1h30m\n"},
		{"PROG_WAIT", "soon", []string{"plain"}, "\"soon\" is no duration"},
		{"PROG_WEIGHT", "a=1;a=2", []string{"plain"}, "set twice"},
		{"", "", []string{"plain", "--none"}, "Run \"prog plain --help\" for usage.\n"},
		{"", "", []string{"none"}, "Run \"prog --help\" for usage.\n"},
	} {
		t.Run(fmt.Sprint(c.args, c.variable), func(t *testing.T) {
			if c.variable != "" {
				t.Setenv(c.variable, c.value)
			}
			status, stderr := try(t, t.Context(), c.args...)
			if (status == 0) != (c.want == "") || !strings.Contains(stderr, c.want) {
				t.Errorf("status %d, stderr %q, want %q", status, stderr, c.want)
			}
		})
	}
}

// TestStops wants Run to return although the command goes on.
// UnknownVariables has those that no flag of any command reads.
func TestUnknownVariables(t *testing.T) {
	var grammar struct {
		One struct {
			Level int `env:"X_LEVEL,OTHER_LEVEL"`
		} `cmd:""`
		Two struct {
			Three struct {
				LongName string
			} `cmd:""`
		} `cmd:""`
	}
	parser, err := kong.New(&grammar, kong.DefaultEnvars("X"))
	if err != nil {
		t.Fatal(err)
	}
	got := UnknownVariables(parser.Model, "X", []string{"X_ZERO=", "X_LEVEL=1", "X_LONG_NAME=a", "X_LONG=b", "OTHER=c", "XY_Z=1"})
	if want := []string{"X_LONG", "X_ZERO"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if status, stderr := try(t, ctx, "slow"); status != ExitFailed || !strings.Contains(stderr, "not all work had ended after 1ms") {
		t.Errorf("status %d, %s", status, stderr)
	}
}

// TestWithin wants Within to wait for a function that ends in time, and to give up one that doesn't.
func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := errors.New("failed")
		ctx, cancel := context.WithCancel(t.Context())
		if err := Within(ctx, 0, func() error { time.Sleep(time.Hour); return failed }); !errors.Is(err, failed) {
			t.Errorf("before the end: %v", err)
		}
		cancel()
		begin := time.Now()
		if err := Within(ctx, time.Minute, func() error { time.Sleep(59 * time.Second); return failed }); !errors.Is(err, failed) {
			t.Errorf("in time: %v", err)
		}
		if err := Within(ctx, time.Minute, func() error { time.Sleep(time.Hour); return nil }); !errors.Is(err, ErrAbandoned) {
			t.Errorf("too late: %v", err)
		}
		if took := time.Since(begin); took != 119*time.Second {
			t.Errorf("it took %v, want 1m59s", took)
		}
		time.Sleep(time.Hour) // until the last one has ended
	})
}

// gate is a writer that waits until it is opened.
type gate struct {
	open chan struct{}
	bytes.Buffer
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	return g.Buffer.Write(p)
}

// TestLog wants a Log never to wait for a stalled reader: it buffers some lines, drops the others and reports that.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &gate{open: make(chan struct{})}
		var told int64
		l := NewLog(w, func(lines int64) { told += lines })
		const lines = 3 * logLines
		for i := range lines {
			fmt.Fprintf(l, "line %d\n", i)
		}
		dropped := l.Dropped()
		if dropped < lines-logLines-1 || dropped >= lines {
			t.Errorf("%d lines of %d were dropped", dropped, lines)
		}
		close(w.open)
		l.Close(time.Hour)
		if got := strings.Count(w.String(), "\n"); int64(got) != lines-dropped || told != dropped {
			t.Errorf("%d lines were written and %d told of, want %d and %d", got, told, lines-dropped, dropped)
		}
		fmt.Fprintln(l, "late")
		l.Close(0)
		if l.Dropped() != dropped+1 {
			t.Errorf("%d lines were dropped, want %d", l.Dropped(), dropped+1)
		}
	})
}

// TestLogBounds wants a Log to buffer a bounded number of bytes, and Close to give up a reader that never reads.
func TestLogBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &gate{open: make(chan struct{})}
		l := NewLog(w, func(int64) {})
		for range 100 {
			if n, err := l.Write(make([]byte, logBytes/10)); n != logBytes/10 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
		if held := 100 - l.Dropped(); held > 10 {
			t.Errorf("%d tenths of the bytes are held back", held)
		}
		begin := time.Now()
		l.Close(time.Second)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("Close took %v", took)
		}
		close(w.open)
	})
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		_ = reader.Close()
		l := NewLog(writer, func(int64) { t.Error("lines can't be written, and are told of") })
		fmt.Fprintln(l, "nobody reads this")
		l.Close(time.Hour)
		if l.Dropped() != 1 {
			t.Errorf("%d lines were dropped, want 1", l.Dropped())
		}
	})
}
