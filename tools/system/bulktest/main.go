// Bulktest tests the promise of `metalrank bulk` that every pair has exactly one result. It scores pairs over several
// workers, and kills workers at random with SIGKILL, and once each the server, a submission and a collection. It
// compares the results with those of `metalrank score`, byte by byte. `./build.sh bulk` runs it; --pairs 1000000 takes
// some minutes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/metalrank/metalrank/cmd/cli"
)

type options struct {
	Metalrank string        `help:"The program, with metalrank-bulk beside it." default:"bin/metalrank"`
	Pairs     int           `help:"Pairs to score." default:"60000"`
	Workers   int           `help:"Workers, of one thread each." default:"3"`
	KillEvery time.Duration `help:"Time between kills of a worker, give or take a half." default:"3s"`
	AckWait   time.Duration `help:"After which a dead worker's chunks are given to others." default:"5s"`
	Precision string        `help:"Arithmetic." default:"int8"`
	Model     string        `help:"Checkpoint folder. Default: the embedded model." placeholder:"DIR"`
	Seed      uint64        `help:"Of the pairs and of the kills." default:"1"`
	Timeout   time.Duration `help:"For everything." default:"20m"`
	Keep      bool          `help:"Keep the folder with inputs, outputs and logs."`
}

func main() { cli.Main(run) }

func run(ctx context.Context, args []string, std cli.Streams) int {
	return cli.Run(ctx, cli.Program{
		Name: "bulktest", Description: "Scores pairs in bulk while workers and the server are killed.", Grammar: &options{},
	}, args, std)
}

// Validate is called by kong.
func (o *options) Validate() error {
	if o.Pairs < 1 || o.Workers < 1 || o.KillEvery < 2 || o.AckWait < time.Second {
		return errors.New("want --pairs and --workers of 1 or more, --kill-every over 0 and --ack-wait of 1s or more")
	}
	return nil
}

// StopTime implements cli.StopTimer: the server is given time to end.
func (o *options) StopTime() time.Duration { return time.Minute }

// Run is called by cli.Run.
func (o *options) Run(ctx context.Context, std cli.Streams) error {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	return try(ctx, o, std.Out)
}

// try runs the whole test in a folder of its own.
func try(ctx context.Context, o *options, stdout io.Writer) (err error) {
	folder, err := os.MkdirTemp("", "bulktest")
	if err != nil {
		return err
	}
	if o.Keep {
		fmt.Fprintln(stdout, "everything is kept in", folder)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	}
	inputs, direct := filepath.Join(folder, "pairs.jsonl"), filepath.Join(folder, "direct.jsonl")
	if err := writePairs(inputs, o.Pairs, o.Seed); err != nil {
		return err
	}
	begin := time.Now()
	if err := scoreDirectly(ctx, o, inputs, direct); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "direct: %d pairs in %.1f s, %.0f/s\n", o.Pairs, time.Since(begin).Seconds(),
		float64(o.Pairs)/time.Since(begin).Seconds())

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
	return compare(stdout, o.Pairs, direct, f.output)
}
