package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/cmd/cli/modelflags"
	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/weights"
)

type infoCommand struct {
	modelflags.Flags
	Checkpoint string `arg:"" optional:"" name:"dir" help:"What --model says, and goes before it."`
	Tensors    bool   `help:"List the tensors too: shape, type, group, bytes."`
	Against    string `help:"With --tensors: how far each is from its source, another checkpoint of the same model." placeholder:"DIR"`
}

// Validate is called by kong.
func (c *infoCommand) Validate() error {
	if c.Against != "" && !c.Tensors {
		return errors.New("--against goes with --tensors")
	}
	if c.Checkpoint != "" {
		c.Model = c.Checkpoint
	}
	return c.Flags.Validate()
}

// Run is called by kong.
func (c *infoCommand) Run(ctx context.Context, std streams) error {
	e, err := c.Open(ctx)
	if err != nil {
		return err
	}
	err = printInfo(std.out, e)
	if err == nil && c.Tensors {
		err = printTensors(std.out, c.Model, c.Against)
	}
	return errors.Join(err, e.Close())
}

// library says whether the program can open models of other tokenizers than BERT's.
func library() string {
	if engine.HasLibrary {
		return "tokenizers"
	}
	return "none: models of BERT's tokenizer alone"
}

func printInfo(w io.Writer, e *engine.Engine) error {
	info := e.Info()
	config := info.Config
	var dtypes []string
	for _, d := range info.DTypes {
		dtypes = append(dtypes, fmt.Sprintf("%s (%d tensors, %.1f MB)", d.DType, d.Tensors, float64(d.Bytes)/1e6))
	}
	rows := [][2]string{
		{"model", info.Model},
		{"architecture", info.Architecture},
		{"parameters", fmt.Sprintf("%.1f M", float64(info.Parameters)/1e6)},
		{"layers", fmt.Sprint(config.Layers)},
		{"hidden size", fmt.Sprint(config.HiddenSize)},
		{"heads", headsText(config)},
		{"feed-forward size", fmt.Sprint(config.FeedForward)},
		{"activation", config.Activation.String()},
		{"layer norm epsilon", fmt.Sprint(config.LayerNormEps)},
		{"vocabulary", fmt.Sprint(config.VocabSize)},
		{"positions", fmt.Sprint(config.MaxPositions)},
		{"weights", strings.Join(dtypes, ", ")},
		{"quantisation", quantisation(info)},
		{"labels", strings.Join(info.Labels, ", ")},
		{"score", info.Activation},
		{"tokenizer", fmt.Sprintf("%s, %d entries", info.Tokenizer.Model, info.Tokenizer.Vocab)},
		{"tokenizer library", library()},
		{"max length", fmt.Sprintf("%d tokens a pair", info.MaxLength)},
		{"backend", fmt.Sprintf("%s (%s), %s", info.Backend.Name, info.Backend.Device, info.Backend.DType)},
	}
	if info.Fallback != "" {
		rows = append(rows, [2]string{"  and not the GPU", info.Fallback})
	}
	for _, d := range info.Backend.Dispatch {
		rows = append(rows, [2]string{"  " + d.Operation, fmt.Sprintf("%s (%s)", d.Kernel, d.Why)})
	}
	rows = append(rows, cardRows(e.Card())...)
	rows = append(rows, [2]string{"metalrank", cli.CurrentBuild().String()})
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if _, err := fmt.Fprintf(table, "%s\t%s\n", row[0], oneLine(row[1])); err != nil {
			return err
		}
	}
	return table.Flush()
}

// headsText returns the number of heads and their size, and the number of key heads where there are fewer.
func headsText(c weights.Config) string {
	text := fmt.Sprintf("%d of %d", c.Heads, c.HeadSize)
	if c.KeyHeads != c.Heads {
		text += fmt.Sprintf(", which share %d of keys and values", c.KeyHeads)
	}
	return text
}

func quantisation(info engine.Info) string {
	inRows := slices.ContainsFunc(info.DTypes, func(d engine.DTypeCount) bool { return d.DType == weights.I8.String() })
	switch q := info.Config.Quantization; {
	case q != nil:
		return q.String()
	case inRows:
		return "8 bits, a scale for each row"
	default:
		return "none"
	}
}

// cardRows tells what the checkpoint's README.md states of its licence and origin.
func cardRows(card weights.Card, err error) [][2]string {
	if err != nil {
		return [][2]string{{"licence", "unreadable: " + err.Error()}}
	}
	if card.License == "" {
		card.License = "not stated"
	}
	rows := [][2]string{{"licence", card.License}}
	for _, row := range [][2]string{{"licence name", card.LicenseName}, {"licence link", card.LicenseLink},
		{"base model", strings.Join(card.BaseModel, ", ")}, {"language", strings.Join(card.Languages, ", ")}} {
		if row[1] != "" {
			rows = append(rows, row)
		}
	}
	return rows
}
