// Package modelflags has the flags that choose a model.
package modelflags

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/hub"
)

// Flags choose the model, and how it is loaded; every subcommand that scores has them.
type Flags struct {
	Model               string `help:"Checkpoint folder (config.json, model.safetensors, tokenizer.json), GGUF file with config.json and tokenizer.json beside it, or OWNER/MODEL of the hub after \"metalrank pull\". Default: the embedded model." placeholder:"DIR"`
	Backend             string `help:"What computes: ${enum}." enum:"${backends}" default:"auto"`
	Precision           string `help:"Arithmetic: ${precisions}. Default: fp16 on a GPU, fp32 on the CPU, where int8 is faster and moves scores a little. bf16 does with AMX; without, it is fp32." placeholder:"P"`
	MaxLength           int    `help:"Tokens in a pair; longer pairs are truncated. Default: what the model takes." placeholder:"N"`
	Tune                string `help:"When to find the fastest variants of the kernels on a GPU: ${enum}. auto: when a model is first opened there, in about two seconds; they are kept in the cache folder. again: whenever a model is opened." enum:"${tunes}" default:"auto"`
	SpecialTokensAsText bool   `help:"Read \"[SEP]\" and its like in texts as plain text, not as special tokens. For documents that aren't trusted."`
	Instruction         string `help:"What to look for, for models whose prompt has a place for it. Default: what the model was trained with." placeholder:"TEXT"`
}

// Vars are the names that the help of Flags has.
func Vars() kong.Vars {
	return kong.Vars{
		"backends": strings.Join(engine.Backends, ","), "precisions": strings.Join(engine.Precisions, ", "),
		"tunes": strings.Join(engine.Tunes, ","),
	}
}

// Config returns the engine's configuration by the flags.
func (f *Flags) Config() engine.Config {
	return engine.Config{
		Model: f.Model, Embedded: builtin.Open, Backend: f.Backend, Precision: f.Precision, Tune: f.Tune,
		MaxLength: f.MaxLength, SpecialTokensAsText: f.SpecialTokensAsText, Instruction: f.Instruction,
		OnFallback: func(why error) {
			fmt.Fprintf(os.Stderr, "WARNING: the GPU is not used, and the CPU computes instead, which is slower: %v\n", why)
		},
		OnDoubt: func(why error) {
			fmt.Fprintf(os.Stderr, "WARNING: scores of the GPU could not be tested: %v\n", why)
		},
	}
}

// Validate is called by kong.
func (f *Flags) Validate() error { return f.Config().Validate() }

// Open loads the model. The caller closes it.
func (f *Flags) Open(ctx context.Context) (*engine.Engine, error) {
	config := f.Config()
	var err error
	if config.Model, err = Find(f.Model); err != nil {
		return nil, err
	}
	return engine.Open(ctx, config)
}

// Find returns the path that --model means: an existing one, or the folder of a model in the hub's cache.
func Find(model string) (string, error) { return FindBy(model, os.Getenv) }

// FindBy is Find, with getenv for os.Getenv to find the hub's cache.
func FindBy(model string, getenv func(string) string) (string, error) {
	if model == "" {
		return "", nil
	}
	_, absent := os.Stat(model)
	if !errors.Is(absent, fs.ErrNotExist) {
		return model, nil
	}
	name, err := hub.ParseName(model)
	if err != nil {
		return "", fmt.Errorf("model: %w", absent)
	}
	dir, err := hub.FromEnvironment(getenv).Find(name)
	if errors.Is(err, hub.ErrNotCached) {
		return "", fmt.Errorf("no folder %s, and %w: \"metalrank pull %s\" fetches it", model, err, name)
	}
	return dir, err
}
