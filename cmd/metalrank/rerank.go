package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/cmd/cli/jsonl"
	"github.com/metalrank/metalrank/cmd/cli/modelflags"
	"github.com/metalrank/metalrank/engine"
)

type rerankCommand struct {
	modelflags.Flags
	Query     string `help:"What the documents should answer." required:"" short:"q" empty:""`
	TopN      int    `help:"Print only the N best. Default: all." placeholder:"N"`
	RawScores bool   `help:"Print logits, without the model's activation."`
	Format    string `help:"How to print: ${enum}." enum:"table,json,tsv" default:"table"`
	File      string `arg:"" optional:"" help:"Documents: one a line, or JSON objects with a \"text\" field, one a line. \"-\" or nothing: standard input."`
}

// Validate is called by kong.
func (c *rerankCommand) Validate() error {
	if c.TopN < 0 {
		return fmt.Errorf("--top-n is %d, want at least 1", c.TopN)
	}
	return nil
}

// Run is called by kong.
func (c *rerankCommand) Run(ctx context.Context, std streams) error {
	if _, err := modelflags.Find(c.Model); err != nil { // before documents are waited for
		return err
	}
	documents, err := c.documents(ctx, std)
	if err != nil {
		return err
	}
	e, err := c.Open(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	ranking, err := e.Rerank(ctx, c.Query, documents, engine.Options{RawScores: c.RawScores})
	if err != nil {
		return errors.Join(err, e.Close())
	}
	elapsed := time.Since(begin)
	if c.TopN > 0 {
		ranking.Results = ranking.Results[:min(c.TopN, len(ranking.Results))]
	}
	if err := printRanking(std.out, c.Format, ranking.Results, documents); err != nil {
		return errors.Join(err, e.Close())
	}
	info := e.Info()
	_, _ = fmt.Fprintf(std.err, "%d documents, %d tokens in %s; model %s, backend %s (%s)\n", len(documents),
		ranking.Stats.Tokens, elapsed.Round(time.Millisecond), info.Model, info.Backend.Name, info.Backend.Device)
	return e.Close()
}

func (c *rerankCommand) documents(ctx context.Context, std streams) ([]string, error) {
	in, err := jsonl.Open(c.File, std.in)
	if err != nil {
		return nil, err
	}
	documents, err := readDocuments(ctx, in)
	if closeErr := in.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", jsonl.Name(c.File), err)
	}
	if len(documents) == 0 {
		return nil, fmt.Errorf("%s: no documents", jsonl.Name(c.File))
	}
	return documents, nil
}

// readDocuments takes the input for JSON lines if its first line is a JSON object, else for plain lines.
func readDocuments(ctx context.Context, in io.Reader) ([]string, error) {
	var (
		documents []string
		jsonLines bool
	)
	for l, err := range jsonl.Lines(ctx, in) {
		if err != nil {
			return nil, err
		}
		if len(documents) == 0 {
			var object map[string]any
			jsonLines = json.Unmarshal(l.Text, &object) == nil
		}
		if !jsonLines {
			documents = append(documents, string(l.Text))
			continue
		}
		var document struct {
			Text *string `json:"text"`
		}
		if err := l.Decode(&document); err != nil {
			return nil, err
		}
		if document.Text == nil {
			return nil, fmt.Errorf(`line %d: no "text"`, l.Number)
		}
		documents = append(documents, *document.Text)
	}
	return documents, nil
}
