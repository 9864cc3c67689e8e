// Command checkpoints writes checkpoint folders for golden.py to run transformers on: the random ones of
// weights/weightstest into DIR, one folder each, or with -builtin the embedded model as DIR.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/weightstest"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("checkpoints", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintln(stderr, "usage: checkpoints [-builtin] DIR") }
	embedded := flags.Bool("builtin", false, "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return 2
	}
	write := writeRandom
	if *embedded {
		write = writeBuiltin
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

func writeBuiltin(dir string, stdout io.Writer) error {
	checkpoint, err := builtin.Open()
	if err != nil {
		return err
	}
	defer checkpoint.Close()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range []string{
		"config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
	} {
		data, err := checkpoint.File(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	fmt.Fprintln(stdout, dir)
	return nil
}
