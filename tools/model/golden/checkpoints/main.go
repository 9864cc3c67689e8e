// Command checkpoints writes checkpoint folders for golden.py to run transformers on: the random ones of
// weights/weightstest into DIR, one folder each, or with --builtin the embedded model in fp32 as DIR, or with --base or
// --minilm a random one of the size of bert-base, or of MiniLM with six layers.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/convert"
	"github.com/metalrank/metalrank/weights/weightstest"
)

type options struct {
	Builtin bool   `help:"The embedded model in fp32 instead of small random ones." xor:"which"`
	Base    bool   `help:"A random one of the size of bert-base." xor:"which"`
	MiniLM  bool   `name:"minilm" help:"A random one of the size of MiniLM with six layers." xor:"which"`
	Dir     string `arg:"" help:"Folder to write to."`
}

func main() {
	cli.Program{Name: "checkpoints", Description: "Writes checkpoints for golden.py.", Grammar: &options{}}.Main()
}

// Run is called by cli.Run.
func (o *options) Run(std cli.Streams) error {
	switch {
	case o.Builtin:
		return writeBuiltin(o.Dir, std.Out)
	case o.Base:
		return writeSized(o.Dir, std.Out, bertBase())
	case o.MiniLM:
		return writeSized(o.Dir, std.Out, weightstest.MiniLM(6))
	}
	return writeRandom(o.Dir, std.Out)
}

func writeRandom(dir string, stdout io.Writer) error {
	for _, s := range weightstest.Specs() {
		folder := filepath.Join(dir, s.Name)
		if err := weightstest.Write(folder, s); err != nil {
			return err
		}
		fmt.Fprintln(stdout, folder)
	}
	return nil
}

func bertBase() weightstest.Spec {
	spec := weightstest.MiniLM(12)
	spec.Name, spec.Hidden, spec.FeedForward, spec.DType = "random_base", 768, 3072, "F32"
	return spec
}

// writeSized gives the checkpoint the vocabulary of the embedded model, so that texts have as many tokens for both.
func writeSized(dir string, stdout io.Writer, spec weightstest.Spec) error {
	checkpoint, err := builtin.Open()
	if err != nil {
		return err
	}
	defer checkpoint.Close()
	data, err := checkpoint.File("tokenizer.json")
	if err != nil {
		return err
	}
	var tokenizer struct {
		Model struct {
			Vocab map[string]int `json:"vocab"`
		} `json:"model"`
	}
	if err := json.Unmarshal(data, &tokenizer); err != nil {
		return err
	}
	spec.Vocab = make([]string, len(tokenizer.Model.Vocab))
	for piece, id := range tokenizer.Model.Vocab {
		spec.Vocab[id] = piece
	}
	fmt.Fprintln(stdout, dir)
	return weightstest.Write(dir, spec)
}

// writeBuiltin writes the embedded model in fp32: transformers doesn't know its layout.
func writeBuiltin(dir string, stdout io.Writer) error {
	checkpoint, err := builtin.Open()
	if err != nil {
		return err
	}
	defer checkpoint.Close()
	if err := convert.Folder(context.Background(), checkpoint, dir, convert.Options{Float: weights.F32}); err != nil {
		return err
	}
	fmt.Fprintln(stdout, dir)
	return nil
}
