// Command metalrank ranks and scores texts with a cross-encoder, on the command line or over HTTP.
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
	"github.com/metalrank/metalrank/metal/open"
)

// version is set by the linker; see build.sh.
var version = "development"

const (
	exitFailed = 1
	exitUsage  = 2
)

// command is the grammar of the command line. Every flag can come from METALRANK_<FLAG> too.
type command struct {
	Version kong.VersionFlag `help:"Print the version and exit." env:"-"`

	Rerank rerankCommand `cmd:"" help:"Rank documents by how well they answer a query."`
	Score  scoreCommand  `cmd:"" help:"Score (query, text) pairs, one JSON object a line."`
	Serve  serveCommand  `cmd:"" help:"Serve models over HTTP, as text-embeddings-inference, Cohere, Jina, Infinity and vLLM do."`

	Convert convertCommand `cmd:"" help:"Write a checkpoint again in another type: fp32, fp16, bf16, int8, int4."`
	Pull    pullCommand    `cmd:"" help:"Fetch a model from the Hugging Face hub into its cache."`
	Eval    evalCommand    `cmd:"" help:"Measure how well models rank judged documents, and how far they are from the first one."`
	Info    infoCommand    `cmd:"" help:"Describe a model: architecture, sizes, dtypes, labels, tokenizer, licence."`
	Doctor  doctorCommand  `cmd:"" help:"Examine this machine: kernels, the embedded model's scores, speed. What it prints is what to send with a report of a fault."`
	Fleet   fleetCommand   `cmd:"" help:"Run several servers as one."`
}

// streams are the process's standard streams, or a test's.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on, a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
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
		kong.Name("metalrank"),
		kong.Description("Scores (query, document) pairs with a BERT-style cross-encoder. "+
			"Without --model it uses the embedded English model."),
		kong.Vars{
			"version": "metalrank " + version, "backends": strings.Join(engine.Backends, ","),
			"precisions": strings.Join(engine.Precisions, ","),
		},
		kong.DefaultEnvars("METALRANK"),
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
		// Nothing is left to do if standard error can't be written.
		_, _ = fmt.Fprintf(std.err, "metalrank: %v\nRun \"metalrank --help\" for usage.\n", err)
		return exitUsage
	}
	if err := parsed.Run(); err != nil {
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		_, _ = fmt.Fprintf(std.err, "metalrank: %v\n", err)
		return exitFailed
	}
	return 0
}

// modelFlags choose the model, and how it is loaded; every subcommand has them.
type modelFlags struct {
	Model               string `help:"Checkpoint folder (config.json, model.safetensors, tokenizer.json), GGUF file with config.json and tokenizer.json beside it, or OWNER/MODEL of the hub after \"metalrank pull\". Default: the embedded model." placeholder:"DIR"`
	Backend             string `help:"What computes: ${enum}." enum:"${backends}" default:"auto"`
	Precision           string `help:"Arithmetic: ${enum}. Default: fp16 on a GPU, fp32 on the CPU, where int8 and bf16 are faster and move scores a little." enum:"${precisions}," default:"" placeholder:"P"`
	MaxLength           int    `help:"Tokens in a pair; longer pairs are truncated. Default: what the model takes." placeholder:"N"`
	SpecialTokensAsText bool   `help:"Read \"[SEP]\" and its like in texts as plain text, not as special tokens. For documents that aren't trusted."`
}

func (f *modelFlags) config() engine.Config {
	return engine.Config{
		Model: f.Model, Backend: f.Backend, Precision: f.Precision, OpenDevice: open.Device,
		MaxLength: f.MaxLength, SpecialTokensAsText: f.SpecialTokensAsText,
	}
}

// Validate is called by kong.
func (f *modelFlags) Validate() error { return f.config().Validate() }

func (f *modelFlags) open(ctx context.Context) (*engine.Engine, error) {
	config := f.config()
	var err error
	if config.Model, err = findModel(f.Model); err != nil {
		return nil, err
	}
	return engine.Open(ctx, config)
}
