// Command sweep measures how fast rerankers are, over grids of batch sizes and clients: metalrank's engine, any server
// that speaks HTTP, and other runtimes. It repeats the experiments of a published study, and prints their tables.
//
// Results go to standard output, everything else to standard error. Exit status: 0 fine, 1 failed, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/tools/sweep/dataset"
	"github.com/metalrank/metalrank/tools/sweep/experiments"
	"github.com/metalrank/metalrank/tools/sweep/target"
)

// version is set by the linker; see build.sh.
var version = "development"

const (
	exitFailed = 1
	exitUsage  = 2
)

type command struct {
	Version kong.VersionFlag `help:"Print the version and exit."`

	Run    runCommand    `cmd:"" help:"Measure experiments, and write their tables and a record of every request."`
	List   listCommand   `cmd:"" help:"List the experiments, and what they measure."`
	Show   showCommand   `cmd:"" help:"Print an experiment's YAML, to begin one of your own from."`
	Table  tableCommand  `cmd:"" help:"Read a results document, such as the study's, and print what was understood."`
	Report reportCommand `cmd:"" help:"Make one HTML page, a CSV and a JSON file of one or several runs."`
	Diff   diffCommand   `cmd:"" help:"Compare two runs cell by cell; exit status 1 if the second is slower."`
	Peers  peersCommand  `cmd:"" help:"Install the runtimes to compare with, or list them."`
}

// streams are the process's standard streams, or a test's.
type streams struct{ out, err io.Writer }

const description = `Measures how fast rerankers are, over grids of batch sizes and clients.

Try it: "sweep run --quick all --target embedded" measures this machine in minutes; "sweep report" makes a page of it. ` +
	`To size a fleet, measure your own requests: "sweep run concurrency_analysis --target embedded --data own.jsonl", or a ` +
	`server that runs: "--target http --url http://HOST:8080/rerank".`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on, a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdout, os.Stderr}))
}

// run is main without the process around it; it returns the exit status.
func run(ctx context.Context, args []string, std streams) (status int) {
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
	var grammar command
	parser, err := kong.New(&grammar,
		kong.Name("sweep"),
		kong.Description(description),
		kong.Vars{
			"version": "sweep " + version, "targets": strings.Join(target.Names(), ", "),
			"backends": strings.Join(engine.Backends, ","), "dtypes": strings.Join(experiments.DTypes, ","),
			"sets": strings.Join(dataset.Names(), ", "), "apis": strings.Join(target.APIs, ","),
		},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Writers(std.out, std.err),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(std),
	)
	if err != nil {
		panic("BUG: command line grammar: " + err.Error())
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(std.err, "sweep: %v\nRun \"sweep --help\" for usage.\n", err)
		return exitUsage
	}
	if err := parsed.Run(); err != nil {
		if !errors.Is(err, errSlower) { // which diff has said
			fmt.Fprintf(std.err, "sweep: %v\n", err)
		}
		return exitFailed
	}
	return 0
}
