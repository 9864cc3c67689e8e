package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/engine"
)

type scoreCommand struct {
	modelFlags
	Pairs     string `help:"Pairs as JSON lines, {\"query\":…, \"text\":…}; \"-\" is standard input." required:"" placeholder:"FILE"`
	RawScores bool   `help:"Write logits, without the model's activation."`
	Output    string `help:"Write to FILE instead of standard output." short:"o" placeholder:"FILE"`
}

// pairsPerCall is how many pairs are read, scored and written at a time.
const pairsPerCall = 64

// Run is called by kong.
func (c *scoreCommand) Run(ctx context.Context, std streams) error {
	in, err := openInput(c.Pairs, std)
	if err != nil {
		return err
	}
	e, err := c.open(ctx)
	if err != nil {
		return errors.Join(err, in.Close())
	}
	out, closeOut := std.out, func() error { return nil }
	if c.Output != "" {
		if err := c.refuseSameFile(); err != nil {
			return errors.Join(err, e.Close(), in.Close())
		}
		file, err := os.Create(c.Output)
		if err != nil {
			return errors.Join(err, e.Close(), in.Close())
		}
		out, closeOut = file, file.Close
	}
	err = c.stream(ctx, e, in, out)
	return errors.Join(err, closeOut(), e.Close(), in.Close())
}

// refuseSameFile keeps -o from emptying the pairs before they are read.
func (c *scoreCommand) refuseSameFile() error {
	out, err := os.Stat(c.Output)
	if err != nil {
		return nil //nolint:nilerr // it isn't there, or opening it says what is wrong
	}
	if in, err := os.Stat(c.Pairs); err == nil && os.SameFile(in, out) && out.Mode().IsRegular() {
		return fmt.Errorf("-o %s is the file of the pairs", c.Output)
	}
	return nil
}

// stream scores pairs as they come; what was scored before an error has been written.
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
		if err != nil {
			return err
		}
		for i := range pairs {
			if err := writeScores(w, index, scores.Row(i)); err != nil {
				return err
			}
			index++
		}
		pairs = pairs[:0]
		return w.Flush()
	}
	for l, err := range lines(ctx, in) {
		if err == nil {
			var pair engine.Pair
			if pair, err = parsePair(l); err == nil {
				pairs = append(pairs, pair)
			}
		}
		if err != nil {
			return errors.Join(flush(), fmt.Errorf("%s: %w", inputName(c.Pairs), err))
		}
		if len(pairs) == pairsPerCall {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

func parsePair(l line) (engine.Pair, error) {
	var pair struct {
		Query *string `json:"query"`
		Text  *string `json:"text"`
	}
	if err := l.decode(&pair); err != nil {
		return engine.Pair{}, err
	}
	if pair.Query == nil {
		return engine.Pair{}, fmt.Errorf(`line %d: no "query"`, l.number)
	}
	if pair.Text == nil {
		return engine.Pair{}, fmt.Errorf(`line %d: no "text"`, l.number)
	}
	return engine.Pair{Query: *pair.Query, Document: *pair.Text}, nil
}

// writeScores writes one result line: a single label as "score", several as "scores" in the order of the labels.
func writeScores(w io.Writer, index int, row []float64) error {
	var value any = struct {
		Index  int       `json:"index"`
		Scores []float64 `json:"scores"`
	}{index, row}
	if len(row) == 1 {
		value = struct {
			Index int     `json:"index"`
			Score float64 `json:"score"`
		}{index, row[0]}
	}
	if err := json.MarshalWrite(w, value); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}
