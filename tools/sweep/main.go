// Command sweep measures how fast rerankers are, over grids of batch sizes and clients: metalrank's engine, any server
// that speaks HTTP, and other runtimes. It repeats the experiments of a published study, and prints their tables.
//
// Results go to standard output, everything else to standard error. Exit status: 0 fine, 1 failed, 2 wrong usage.
package main

import (
	"context"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/cmd/cli/modelflags"
	"github.com/metalrank/metalrank/tools/sweep/dataset"
	"github.com/metalrank/metalrank/tools/sweep/experiments"
	"github.com/metalrank/metalrank/tools/sweep/target"
)

const (
	exitFailed = cli.ExitFailed
	exitUsage  = cli.ExitUsage
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

const description = `Measures how fast rerankers are, over grids of batch sizes and clients.

Try it: "sweep run --quick all --target embedded" measures this machine in minutes; "sweep report" makes a page of it. ` +
	`To size a fleet, measure your own requests: "sweep run concurrency_analysis --target embedded --data own.jsonl", or a ` +
	`server that runs: "--target http --url http://HOST:8080/rerank".`

func main() { cli.Main(run) }

// run is main without the process around it; it returns the exit status.
func run(ctx context.Context, args []string, std cli.Streams) (status int) {
	return cli.Run(ctx, cli.Program{Name: "sweep", Description: description, Grammar: &command{}},
		args, std, modelflags.Vars(), kong.Vars{
			"targets": strings.Join(target.Names(), ", "), "dtypes": strings.Join(experiments.DTypes, ","),
			"sets": strings.Join(dataset.Names(), ", "), "apis": strings.Join(target.APIs, ","),
		})
}
