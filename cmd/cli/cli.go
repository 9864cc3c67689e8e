// Package cli is what the command lines share: how one is parsed and run, and the flags that choose a model.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/metalrank/metalrank/engine"
)

// Program is a command line: what it is called, and its grammar, a pointer to a struct of kong's.
type Program struct {
	Name, Version, Description string
	Grammar                    any
}

// Exit statuses besides 0.
const (
	ExitFailed = 1
	ExitUsage  = 2
)

// Run parses args and runs the command that they name; it returns the exit status. Every flag can come from
// METALRANK_<FLAG> too. Commands may ask for a context.Context, and for whatever options bind.
func Run(ctx context.Context, p Program, args []string, out, errOut io.Writer, options ...kong.Option) (status int) {
	// kong calls exit in mid-parse after --help and --version.
	type exit int
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exit:
			status = int(r)
		default:
			panic(r)
		}
	}()
	options = append([]kong.Option{
		kong.Name(p.Name),
		kong.Description(p.Description),
		kong.Vars{
			"version": "metalrank " + p.Version, "backends": strings.Join(engine.Backends, ","),
			"precisions": strings.Join(engine.Precisions, ","),
		},
		kong.DefaultEnvars("METALRANK"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Writers(out, errOut),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.BindTo(ctx, (*context.Context)(nil)),
	}, options...)
	parser, err := kong.New(p.Grammar, options...)
	if err != nil {
		panic("BUG: command line grammar: " + err.Error())
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		// Nothing is left to do if standard error can't be written.
		_, _ = fmt.Fprintf(errOut, "metalrank: %v\nRun \"%s --help\" for usage.\n", err, p.Name)
		return ExitUsage
	}
	if err := parsed.Run(); err != nil {
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		_, _ = fmt.Fprintf(errOut, "metalrank: %v\n", err)
		return ExitFailed
	}
	return 0
}
