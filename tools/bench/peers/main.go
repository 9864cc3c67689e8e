// Command peers compares metalrank with the runtimes that people would use instead, on the CPU: the same checkpoint,
// the same pairs, one run, in turns. `./build.sh bench peers` sets it up; README.md explains it and its tables.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/internal/machine"
	"github.com/metalrank/metalrank/tools/bench/peers/python"
	"github.com/metalrank/metalrank/tools/bench/peers/wire"
	"github.com/metalrank/metalrank/tools/bench/peers/workload"
)

// Pairs are cut at so many tokens: by the embedded model, and by batching.py.
const modelLimit, shapeLimit = 512, 2048

// scripts is where the workers' scripts are, from the root of the repository.
const scripts = "tools/bench/peers/python"

func main() { cli.Main(run) }

func run(ctx context.Context, args []string, std cli.Streams) int {
	return cli.Run(ctx, cli.Program{Name: "peers", Description: description, Grammar: &options{}}, args, std)
}

// Run is called by cli.Run.
func (o *options) Run(ctx context.Context, std cli.Streams) error {
	if err := o.setUp(ctx, std.Err); err != nil {
		return err
	}
	if len(o.shapes) > 0 {
		return o.compareShapes(std.Out, std.Err)
	}
	return compareAll(*o, std.Out, std.Err)
}

func compareAll(o options, out, errOut io.Writer) error {
	b := &bench{options: o, progress: errOut, workers: map[peerName]*worker{}, systems: systemsOf(o.systems, len(o.shapes) == 0)}
	b.report = report{Begin: time.Now().UTC(), Machine: machine.Describe(), Commit: machine.Commit(), Threads: o.Threads, Rounds: o.Rounds, Seed: o.Seed}
	b.kit = python.Kit{Interpreter: o.Python, Folder: scripts, Cache: o.Cache, Threads: o.Threads}
	if o.Out == "" {
		var err error
		if o.Out, err = os.MkdirTemp("", "peers-"); err != nil {
			return err
		}
	} else if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return err
	}
	b.options.Out = o.Out
	b.say("results go to %s", o.Out)
	requests := filepath.Join(o.Out, "requests.jsonl")
	if err := b.writeRequests(requests); err != nil {
		return err
	}
	artifacts, err := b.kit.Prepare(o.Model, b.requests[workload.Calibration], o.samples, func() {
		b.say("converting the model for onnxruntime and OpenVINO, once: about a minute on two cores, some for large models")
	})
	if err != nil || o.Prepare {
		return err
	}
	defer b.stop()
	if err := b.start(requests, artifacts); err != nil {
		return err
	}
	if err := b.measure(); err != nil {
		return err
	}
	_, err = io.WriteString(out, b.report.markdown())
	return err
}

// writeRequests generates the workloads to a file.
func (b *bench) writeRequests(path string) error {
	corpus, err := workload.ReadCorpus()
	if err != nil {
		return err
	}
	counter, err := workload.NewCounter()
	if err != nil {
		return err
	}
	defer counter.Close()
	requests, err := workload.Generate(corpus, counter, workload.Specs(), b.options.Seed)
	if err != nil {
		return err
	}
	b.requests = map[string][]wire.Request{}
	for _, r := range requests {
		b.requests[r.Workload] = append(b.requests[r.Workload], r)
	}
	limit := modelLimit
	if len(b.options.shapes) > 0 {
		limit = shapeLimit
	}
	for _, name := range b.scored() {
		if most := b.options.requests; most > 0 && name != workload.Evaluation {
			b.requests[name] = b.requests[name][:most]
		}
		b.report.Shapes = append(b.report.Shapes, workload.Measure(counter, b.requests[name], limit))
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(wire.WriteRequests(file, requests), file.Close())
}

// start starts a worker for each peer, and for the reference whether or not it is timed.
func (b *bench) start(requests, artifacts string) error {
	names := slices.Clone(b.options.systems)
	if !slices.Contains(names, reference) {
		names = append(names, reference)
	}
	for _, name := range names {
		b.say("loading %s", name)
		threads := strconv.Itoa(b.options.Threads)
		args := []string{"--precision", name.Precision, "--threads", threads, "--model", b.options.Model, "--workloads", requests}
		var command *exec.Cmd
		if name.ours() {
			command = exec.Command(b.options.Engine, append(args, "--backend", b.options.Backend)...) //nolint:noctx // as above
		} else {
			streams := "0"
			if len(b.options.shapes) == 0 {
				streams = threads
			}
			command = b.kit.Command("worker.py", append(args, "--peer", name.Peer, "--artifacts", artifacts, "--streams", streams)...)
		}
		w, err := startWorker(name, command, replyTimeout)
		if err != nil {
			return err
		}
		b.workers[name] = w
		b.report.Versions = append(b.report.Versions, version{name, w.details})
		if name.yardstick() {
			b.report.Products = append(b.report.Products, product{Name: name})
		}
	}
	return nil
}

func (b *bench) stop() {
	for _, w := range b.workers {
		w.close()
	}
}
