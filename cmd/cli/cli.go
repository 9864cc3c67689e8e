// Package cli is shared by the command lines: it parses and runs one.
//
// The package must not know the engine, so that a tool without one needs no tokenizer library; cmd/cli/modelflags has its flags.
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
)

// Program is a command line: its name, and its grammar, a pointer to a struct of kong's.
type Program struct {
	Name, Description string // error messages begin with the first word of Name
	// Environment is the prefix of variables that flags can come from, each as <Environment>_<FLAG>. Empty: there are none.
	Environment string
	Grammar     any
}

// Environment is the prefix of metalrank's own programs.
const Environment = "METALRANK"

// ErrReported marks an error that the command has already printed; Run then fails without printing it again.
var ErrReported = errors.New("cli: told already")

// Streams are the process's standard streams, or a test's.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Main runs a program; the first SIGINT or SIGTERM cancels ctx, a second one ends the process at once. It doesn't return.
func Main(run func(ctx context.Context, args []string, std Streams) (status int)) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], Streams{os.Stdin, os.Stdout, os.Stderr}))
}

// Main is the function Main for a program that needs nothing besides its grammar.
func (p Program) Main() {
	Main(func(ctx context.Context, args []string, std Streams) int { return Run(ctx, p, args, std) })
}

// Exit statuses besides 0.
const (
	ExitFailed = 1
	ExitUsage  = 2
)

// Run parses args and runs the command that they name, or the grammar itself if it has no commands; it returns the exit
// status. Commands may ask for a context.Context, for Streams, and for the values that options bind.
func Run(ctx context.Context, p Program, args []string, std Streams, options ...kong.Option) (status int) {
	program, _, _ := strings.Cut(p.Name, " ")
	shown := &keptError{w: std.Out} // help, and the version
	// kong calls exit in mid-parse after --help and --version.
	type exit int
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exit:
			if status = int(r); shown.err != nil {
				tell(std.Err, fmt.Sprintf("%s: %v\n", program, shown.err))
				status = ExitFailed
			}
		default:
			panic(r)
		}
	}()
	common := []kong.Option{
		kong.Name(p.Name),
		kong.Description(p.Description),
		kong.Vars{"version": program + " " + CurrentBuild().String()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Writers(shown, std.Err),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(std),
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
		tell(std.Err, fmt.Sprintf("%s: %s\nRun \"%s --help\" for usage.\n", program, describe(err, parsed), selected(parsed).FullPath()))
		return ExitUsage
	}
	if err := Within(ctx, stopTime(parsed), func() error { return parsed.Run() }); err != nil {
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		if !errors.Is(err, ErrReported) {
			tell(std.Err, fmt.Sprintf("%s: %s\n", program, describe(err, parsed)))
		}
		return ExitFailed
	}
	return 0
}

// StopTimer is a command, or a grammar without commands, that needs a time of its own to stop in.
type StopTimer interface{ StopTime() time.Duration }

// defaultStopTime bounds how long a command that is no StopTimer takes to end once it is told to.
const defaultStopTime = 5 * time.Second

func stopTime(parsed *kong.Context) time.Duration {
	if timer, ok := reflect.TypeAssert[StopTimer](selected(parsed).Target.Addr()); ok {
		return timer.StopTime()
	}
	return defaultStopTime
}

// selected returns the command that the arguments name, or the program where they name none.
func selected(parsed *kong.Context) *kong.Node {
	if command := parsed.Selected(); command != nil {
		return command
	}
	return parsed.Model.Node
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
