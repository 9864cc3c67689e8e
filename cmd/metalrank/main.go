// Command metalrank ranks and scores texts with a cross-encoder, on the command line or over HTTP.
//
// Results go to standard output, everything else to standard error. Exit status: 0 fine, 1 failed, 2 wrong usage.
package main

import (
	"context"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/cmd/cli/modelflags"
)

const (
	exitFailed = cli.ExitFailed
	exitUsage  = cli.ExitUsage
)

// command is the grammar of the command line. Every flag can come from METALRANK_<FLAG> too.
type command struct {
	Version kong.VersionFlag `help:"Print the version and exit." env:"-"`

	Rerank rerankCommand `cmd:"" help:"Rank documents by how well they answer a query."`
	Score  scoreCommand  `cmd:"" help:"Score (query, text) pairs, one JSON object a line."`
	Serve  serveCommand  `cmd:"" help:"Serve models over HTTP, as text-embeddings-inference, Cohere, Jina, Infinity and vLLM do."`

	Bulk bulkCommand `cmd:"" passthrough:"" help:"Score millions of pairs on a fleet: submit, work, collect; \"metalrank bulk --help\" says how."`

	Convert convertCommand `cmd:"" help:"Write a checkpoint again in another type: fp32, fp16, bf16, int8, int4."`
	Pull    pullCommand    `cmd:"" help:"Fetch a model from the Hugging Face hub into its cache."`
	Eval    evalCommand    `cmd:"" help:"Measure how well models rank judged documents, and how far they are from the first one."`
	Info    infoCommand    `cmd:"" help:"Describe a model: architecture, sizes, dtypes, labels, tokenizer, licence."`
	Doctor  doctorCommand  `cmd:"" help:"Examine this machine: kernels, the embedded model's scores, speed. What it prints is what to send with a report of a fault."`
	Fleet   fleetCommand   `cmd:"" help:"Run several servers as one."`
	Service serviceCommand `cmd:"" help:"Make a server a service of the system: launchd's on macOS, systemd's on Linux."`

	Completion cli.Completion `cmd:"" help:"Print the completion script for a shell: source <(metalrank completion bash)."`
	Manual     cli.Manual     `cmd:"" help:"Print the manual page: metalrank manual | man -l -."`
}

// streams are the process's standard streams, or a test's.
type streams struct {
	in       io.Reader
	out, err io.Writer
	hangups  hangups // for serve; nil: it catches them itself
}

func main() {
	var caught hangups
	if len(os.Args) > 1 && os.Args[1] == "serve" { // before the command line is read
		caught = catchHangups()
	}
	cli.Main(func(ctx context.Context, args []string, std cli.Streams) int {
		return run(ctx, args, streams{std.In, std.Out, std.Err, caught})
	})
}

// run is main without the process around it; it returns the exit status.
func run(ctx context.Context, args []string, std streams) (status int) {
	return cli.Run(ctx, cli.Program{
		Name: "metalrank",
		Description: "Scores (query, document) pairs with a cross-encoder. " +
			"Without --model it uses the embedded English model.",
		Environment: cli.Environment, Grammar: &command{},
	}, args, cli.Streams{In: std.in, Out: std.out, Err: std.err}, kong.Bind(std), modelflags.Vars(), kong.PostBuild(addTEINames))
}
