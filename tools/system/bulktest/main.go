// Bulktest tests the promise of `metalrank bulk` that every pair has exactly one result. It scores pairs over several
// workers, and kills workers at random with SIGKILL, and once each the server, a submission and a collection. It
// compares the results with those of `metalrank score`, byte by byte. `./build.sh bulk` runs it; -pairs 1000000 takes
// some minutes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

type options struct {
	metalrank string
	pairs     int
	workers   int
	every     time.Duration // from one kill of a worker to the next, give or take a half
	ackWait   time.Duration
	precision string
	model     string
	seed      uint64
	timeout   time.Duration
	keep      bool
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("bulktest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.metalrank, "metalrank", "bin/metalrank", "the program, with metalrank-bulk beside it")
	flags.IntVar(&o.pairs, "pairs", 60_000, "pairs to score")
	flags.IntVar(&o.workers, "workers", 3, "workers, of one thread each")
	flags.DurationVar(&o.every, "kill-every", 3*time.Second, "time between kills of a worker, give or take a half")
	flags.DurationVar(&o.ackWait, "ack-wait", 5*time.Second, "after which a dead worker's chunks are given to others")
	flags.StringVar(&o.precision, "precision", "int8", "arithmetic")
	flags.StringVar(&o.model, "model", "", "checkpoint folder; empty: the embedded model")
	flags.Uint64Var(&o.seed, "seed", 1, "of the pairs and of the kills")
	flags.DurationVar(&o.timeout, "timeout", 20*time.Minute, "for everything")
	flags.BoolVar(&o.keep, "keep", false, "keep the folder with inputs, outputs and logs")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil || flags.NArg() > 0 || o.pairs < 1 || o.workers < 1 || o.every < 2 || o.ackWait < time.Second:
		flags.Usage()
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if err := try(ctx, &o, stdout); err != nil {
		fmt.Fprintln(stderr, "bulktest:", err)
		return 1
	}
	return 0
}

// try runs the whole test in a folder of its own.
func try(ctx context.Context, o *options, stdout io.Writer) (err error) {
	folder, err := os.MkdirTemp("", "bulktest")
	if err != nil {
		return err
	}
	if o.keep {
		fmt.Fprintln(stdout, "everything is kept in", folder)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	}
	inputs, direct := filepath.Join(folder, "pairs.jsonl"), filepath.Join(folder, "direct.jsonl")
	if err := writePairs(inputs, o.pairs, o.seed); err != nil {
		return err
	}
	begin := time.Now()
	if err := scoreDirectly(ctx, o, inputs, direct); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "direct: %d pairs in %.1f s, %.0f/s\n", o.pairs, time.Since(begin).Seconds(),
		float64(o.pairs)/time.Since(begin).Seconds())

	f, err := newFleet(ctx, o, folder)
	if err != nil {
		return err
	}
	begin = time.Now()
	err = f.scoreInBulk(inputs)
	elapsed := time.Since(begin)
	if err == nil {
		err = f.summarize(stdout, elapsed)
	}
	f.close()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, f.logs())
	}
	return compare(stdout, o.pairs, direct, f.output)
}
