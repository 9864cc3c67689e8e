// Package cli is shared by the command lines: it parses and runs one, and has the flags that choose a model.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/alecthomas/kong"

	"github.com/metalrank/metalrank/engine"
)

// Program is a command line: its name, and its grammar, a pointer to a struct of kong's.
type Program struct {
	Name, Version, Description string // error messages begin with the first word of Name
	// Environment is the prefix of variables that flags can come from, each as <Environment>_<FLAG>. Empty: there are none.
	Environment string
	Grammar     any
}

// Environment is the prefix of metalrank's own programs.
const Environment = "METALRANK"

// ErrReported marks an error that the command has already printed; Run then fails without printing it again.
var ErrReported = errors.New("cli: told already")

// Main runs a program; the first SIGINT or SIGTERM cancels ctx, a second one ends the process at once. It doesn't return.
func Main(run func(ctx context.Context) (status int)) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx))
}

// Exit statuses besides 0.
const (
	ExitFailed = 1
	ExitUsage  = 2
)

// Run parses args and runs the command that they name; it returns the exit status. Commands may ask for a context.Context,
// and for the values that options bind.
func Run(ctx context.Context, p Program, args []string, out, errOut io.Writer, options ...kong.Option) (status int) {
	program, _, _ := strings.Cut(p.Name, " ")
	shown := &keptError{w: out} // help, and the version
	// kong calls exit in mid-parse after --help and --version.
	type exit int
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exit:
			if status = int(r); shown.err != nil {
				tell(errOut, fmt.Sprintf("%s: %v\n", program, shown.err))
				status = ExitFailed
			}
		default:
			panic(r)
		}
	}()
	common := []kong.Option{
		kong.Name(p.Name),
		kong.Description(p.Description),
		kong.Vars{
			"version": program + " " + p.Version, "backends": strings.Join(engine.Backends, ","),
			"precisions": strings.Join(engine.Precisions, ", "),
		},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Writers(shown, errOut),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(decodeDuration)),
		kong.NamedMapper("path", pathMapper(false)), kong.NamedMapper("existingfile", pathMapper(true)),
	}
	if p.Environment != "" {
		common = append(common, kong.DefaultEnvars(p.Environment))
	}
	parser, err := kong.New(p.Grammar, append(common, options...)...)
	if err != nil {
		panic("BUG: command line grammar: " + err.Error())
	}
	parsed, err := parser.Parse(args)
	if shown.err != nil {
		panic(exit(ExitFailed))
	}
	if wrong, ok := errors.AsType[*kong.ParseError](err); ok {
		parsed = wrong.Context
	}
	if err == nil {
		err = cmp.Or(refuseEmpty(parsed), refuseUseless(parsed))
	}
	if err != nil {
		tell(errOut, fmt.Sprintf("%s: %s\nRun \"%s --help\" for usage.\n", program, describe(err, parsed), p.Name))
		return ExitUsage
	}
	if err := Within(ctx, stopTime(parsed), func() error { return parsed.Run() }); err != nil {
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		if !errors.Is(err, ErrReported) {
			tell(errOut, fmt.Sprintf("%s: %s\n", program, describe(err, parsed)))
		}
		return ExitFailed
	}
	return 0
}

// StopTimer is a command that needs a time of its own to stop in.
type StopTimer interface{ StopTime() time.Duration }

// defaultStopTime bounds how long a command that is no StopTimer takes to end once it is told to.
const defaultStopTime = 5 * time.Second

func stopTime(parsed *kong.Context) time.Duration {
	if command := parsed.Selected(); command != nil {
		if timer, ok := reflect.TypeAssert[StopTimer](command.Target.Addr()); ok {
			return timer.StopTime()
		}
	}
	return defaultStopTime
}

// tellTime bounds how long the last line waits for its reader.
const tellTime = 500 * time.Millisecond

// tell writes the last line of a program. It waits tellTime at most, so that a stalled reader doesn't keep the process from
// ending, and ignores write errors.
func tell(w io.Writer, text string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.WriteString(w, strings.Map(harmless, text))
	}()
	select {
	case <-done:
	case <-time.After(tellTime):
	}
}

// keptError keeps the error of a writer, which kong forgets.
type keptError struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (f *keptError) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if f.err == nil {
		f.err = err
	}
	return n, err
}

// harmless drops control characters, which could steer a terminal: errors contain names and contents of files.
func harmless(r rune) rune {
	if unicode.IsControl(r) && r != '\n' && r != '\t' {
		return -1
	}
	return r
}

// ErrAbandoned marks a function that Within has stopped waiting for.
var ErrAbandoned = errors.New("not all work had ended")

// Within calls f on a goroutine of its own and returns its error. Once ctx has ended, it waits for f no longer than limit;
// after that it returns an error that wraps ErrAbandoned, and f goes on until the process ends.
func Within(ctx context.Context, limit time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("%w after %v: what is under way is given up", ErrAbandoned, limit)
	}
}
