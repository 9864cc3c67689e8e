// Command checkpoints writes checkpoint folders for golden.py to run transformers on: the random ones of
// weights/weightstest into DIR, one folder each, or with -builtin the embedded model in fp32 as DIR, or with -base or
// -minilm a random one of the size of bert-base, or of MiniLM with six layers.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/convert"
	"github.com/metalrank/metalrank/weights/weightstest"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("checkpoints", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintln(stderr, "usage: checkpoints [-builtin | -base | -minilm] DIR") }
	embedded := flags.Bool("builtin", false, "")
	base := flags.Bool("base", false, "")
	miniLM := flags.Bool("minilm", false, "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() != 1 || flags.NFlag() > 1 {
		flags.Usage()
		return 2
	}
	write := writeRandom
	switch {
	case *embedded:
		write = writeBuiltin
	case *base:
		write = func(dir string, stdout io.Writer) error { return writeSized(dir, stdout, bertBase()) }
	case *miniLM:
		write = func(dir string, stdout io.Writer) error { return writeSized(dir, stdout, weightstest.MiniLM(6)) }
	}
	if err := write(flags.Arg(0), stdout); err != nil {
		fmt.Fprintln(stderr, "checkpoints:", err)
		return 1
	}
	return 0
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
