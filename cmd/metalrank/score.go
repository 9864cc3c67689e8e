package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/metalrank/metalrank/cmd/cli/jsonl"
	"github.com/metalrank/metalrank/cmd/cli/modelflags"
	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/internal/outfile"
)

type scoreCommand struct {
	modelflags.Flags
	Pairs     string `help:"Pairs as JSON lines, {\"query\":…, \"text\":…}; \"-\" is standard input." required:"" placeholder:"FILE"`
	RawScores bool   `help:"Write logits, without the model's activation."`
	Output    string `help:"Write to FILE instead of standard output. It is FILE.partial until it is whole." short:"o" placeholder:"FILE"`
}

// pairsPerCall is how many pairs are read, scored and written at a time.
const pairsPerCall = 64

// Run is called by kong.
func (c *scoreCommand) Run(ctx context.Context, std streams) error {
	in, err := jsonl.Open(c.Pairs, std.in)
	if err != nil {
		return err
	}
	if c.Output == "" {
		return errors.Join(c.score(ctx, in, std.out), in.Close())
	}
	if err := c.refuseSameFile(); err != nil {
		return errors.Join(err, in.Close())
	}
	out, err := outfile.Create(c.Output)
	if err != nil {
		return errors.Join(err, in.Close())
	}
	err = c.score(ctx, in, out)
	if info, statErr := out.Stat(); err != nil && statErr == nil && info.Size() > 0 && !out.Direct() {
		err = fmt.Errorf("%w; what was scored before is in %s", err, out.Partial())
	}
	return errors.Join(err, out.Close(err == nil), in.Close())
}

// score opens the model and scores the pairs of in.
func (c *scoreCommand) score(ctx context.Context, in io.Reader, out io.Writer) error {
	e, err := c.Open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(c.stream(ctx, e, in, out), e.Close())
}

// refuseSameFile keeps -o from emptying the pairs before they are read.
func (c *scoreCommand) refuseSameFile() error {
	out, err := os.Stat(c.Output)
	if err != nil {
		return nil //nolint:nilerr // it isn't there, or opening it reports the error
	}
	if in, err := os.Stat(c.Pairs); err == nil && os.SameFile(in, out) && out.Mode().IsRegular() {
		return fmt.Errorf("-o %s is the file of the pairs", c.Output)
	}
	return nil
}

// stream scores pairs as they come. On an error, the scores before it have been written.
func (c *scoreCommand) stream(ctx context.Context, e *engine.Engine, in io.Reader, out io.Writer) error {
	var (
		w     = bufio.NewWriter(out)
		pairs []engine.Pair
		index int
	)
	flush := func() error {
		if len(pairs) == 0 {
			return nil
		}
		scores, err := e.Score(ctx, pairs, engine.Options{RawScores: c.RawScores})
		if bad, ok := errors.AsType[*engine.NonFiniteError](err); ok {
			bad.Index += index // counts from the first pair of all, not of the call
		}
		if err != nil {
			return err
		}
		for i := range pairs {
			if err := jsonl.WriteScores(w, index, scores.Row(i)); err != nil {
				return err
			}
			index++
		}
		pairs = pairs[:0]
		return w.Flush()
	}
	for l, err := range jsonl.Lines(ctx, in) {
		if err == nil {
			var pair engine.Pair
			if pair, err = jsonl.ParsePair(l); err == nil {
				pairs = append(pairs, pair)
			}
		}
		if err != nil {
			return errors.Join(flush(), fmt.Errorf("%s: %w", jsonl.Name(c.Pairs), err))
		}
		if len(pairs) == pairsPerCall {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}
