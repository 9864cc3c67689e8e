// Package table reads pairs from files and writes results to files: JSON lines, or Parquet where a file is called *.parquet.
//
// It must not know of servers.
package table

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/metalrank/metalrank/cmd/cli/jsonl"
	"github.com/metalrank/metalrank/engine"
)

// isParquet says whether a file is meant to be Parquet.
func isParquet(path string) bool { return strings.HasSuffix(strings.ToLower(path), ".parquet") }

// Columns are the names of the columns of a Parquet file that hold a pair. Empty: "query" and "text".
type Columns struct {
	Query, Text string
}

// Pairs yields the pairs of a file, in order: JSON lines {"query": …, "text": …}, or the rows of a Parquet file. "-" is stdin,
// with JSON lines. After an error it ends.
func Pairs(ctx context.Context, path string, columns Columns, stdin io.Reader) iter.Seq2[engine.Pair, error] {
	return func(yield func(engine.Pair, error) bool) {
		read := func(yield func(engine.Pair, error) bool) error { return readLines(ctx, path, stdin, yield) }
		if isParquet(path) {
			read = func(yield func(engine.Pair, error) bool) error { return readParquet(ctx, path, columns, yield) }
		}
		if err := read(yield); err != nil {
			yield(engine.Pair{}, fmt.Errorf("%s: %w", jsonl.Name(path), err))
		}
	}
}

func readLines(ctx context.Context, path string, stdin io.Reader, yield func(engine.Pair, error) bool) error {
	in, err := jsonl.Open(path, stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	for l, err := range jsonl.Lines(ctx, in) {
		var p engine.Pair
		if err == nil {
			p, err = jsonl.ParsePair(l)
		}
		if err != nil {
			return err
		}
		if !yield(p, nil) {
			return nil
		}
	}
	return nil
}
