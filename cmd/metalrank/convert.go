package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/metalrank/metalrank/cmd/cli/jsonl"
	"github.com/metalrank/metalrank/cmd/cli/modelflags"
	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/calibrate"
	"github.com/metalrank/metalrank/weights/convert"
)

type convertCommand struct {
	Source string `arg:"" name:"src" help:"Checkpoint folder, GGUF file, OWNER/MODEL of the hub after \"metalrank pull\", or \"builtin\" for the embedded model."`
	Target string `arg:"" name:"dst" help:"Folder to make. It appears when it is whole."`

	DType           string   `name:"dtype" help:"What the weights become: ${enum}." enum:"fp32,fp16,bf16,int8,int4,int6,int3,int2" required:""`
	Float           string   `help:"With int8 and less: type of what stays in floats, and of the scales: ${enum}. auto keeps 16-bit types and rounds fp32 to fp16." enum:"auto,fp32,fp16,bf16" default:"auto" needs:"dtype=int*"`
	GroupSize       int      `help:"With the scheme mlx: neighbours that share a scale: ${enum}." enum:"32,64,128" default:"64" needs:"dtype=int*,scheme=mlx"`
	Scheme          string   `help:"Layout of integers: mlx (groups with scale and bias, as MLX reads them) or w8a8 (one scale a row)." enum:"mlx,w8a8" default:"mlx" needs:"dtype=int*"`
	EmbeddingLevels int      `help:"With the scheme w8a8: quantise embeddings too, a row's largest weight to this code, 1 to 127. Fewer compress better. 0 leaves them in floats." default:"0" needs:"scheme=w8a8"`
	Calibrate       string   `help:"With int8 and less: round weights for the inputs that these pairs give rise to, {\"query\":…, \"text\":…} a line. A hundred pairs like those to be scored will do." needs:"dtype=int*" placeholder:"FILE"`
	Skip            []string `help:"Layers to leave in floats, by pattern: \"*.pooler.dense\". The classifier always is." needs:"dtype=int*" placeholder:"PATTERN"`
}

var floatTypes = map[string]weights.DType{"fp32": weights.F32, "fp16": weights.F16, "bf16": weights.BF16}

var integerBits = map[string]int{"int8": 8, "int6": 6, "int4": 4, "int3": 3, "int2": 2}

// Validate is called by kong.
func (c *convertCommand) Validate() error {
	switch {
	case c.Scheme == "w8a8" && c.DType != "int8":
		return fmt.Errorf("--scheme=w8a8 goes with --dtype=int8, got %s", c.DType)
	case c.EmbeddingLevels < 0 || c.EmbeddingLevels > convert.MaxEmbeddingLevels:
		return fmt.Errorf("--embedding-levels is %d, want 0 to %d", c.EmbeddingLevels, convert.MaxEmbeddingLevels)
	case c.EmbeddingLevels != 0 && c.Scheme != "w8a8":
		return fmt.Errorf("--embedding-levels goes with --scheme=w8a8, got %s", c.Scheme)
	case integerBits[c.DType] == 0 && c.Float != "auto":
		return fmt.Errorf("--float goes with int8 and less, got --dtype=%s", c.DType)
	case integerBits[c.DType] == 0 && c.Calibrate != "":
		return fmt.Errorf("--calibrate goes with int8 and less, got --dtype=%s", c.DType)
	}
	return nil
}

// Run is called by kong.
func (c *convertCommand) Run(ctx context.Context, std streams) (err error) {
	source, err := openSource(c.Source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	if err := engine.Check(source); err != nil {
		return err
	}
	options := convert.Options{
		Bits: integerBits[c.DType], Float: floatTypes[c.Float], GroupSize: c.GroupSize,
		Scheme: convert.Scheme(c.Scheme), EmbeddingLevels: c.EmbeddingLevels, Skip: c.Skip,
	}
	if options.Bits == 0 {
		options.Float = floatTypes[c.DType]
	}
	start := time.Now()
	if c.Calibrate != "" {
		if options.Calibration, err = c.calibrate(ctx, std); err != nil {
			return err
		}
	}
	bar := newProgress(std)
	options.Progress = bar.set
	err = convert.Folder(ctx, source, c.Target, options)
	bar.finish(err == nil)
	if err != nil {
		return err
	}
	return c.report(std, time.Since(start))
}

// calibrate scores the pairs of the file with the source.
func (c *convertCommand) calibrate(ctx context.Context, std streams) (*calibrate.Moments, error) {
	in, err := jsonl.Open(c.Calibrate, std.in)
	if err != nil {
		return nil, err
	}
	var pairs []engine.Pair
	for l, err := range jsonl.Lines(ctx, in) {
		var pair engine.Pair
		if err == nil {
			pair, err = jsonl.ParsePair(l)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", jsonl.Name(c.Calibrate), err), in.Close())
		}
		pairs = append(pairs, pair)
	}
	if err := in.Close(); err != nil {
		return nil, err
	}
	if len(pairs) == 0 {
		return nil, fmt.Errorf("%s: no pairs", jsonl.Name(c.Calibrate))
	}
	if _, err := fmt.Fprintf(std.err, "calibrating with %d pairs\n", len(pairs)); err != nil {
		return nil, err
	}
	config := engine.Config{Embedded: builtin.Open}
	if c.Source != "builtin" {
		if config.Model, err = modelflags.Find(c.Source); err != nil {
			return nil, err
		}
	}
	moments := &calibrate.Moments{}
	return moments, engine.Observe(ctx, config, pairs, moments.Add)
}

// report opens the checkpoint that was written, which checks it, and prints its size.
func (c *convertCommand) report(std streams, elapsed time.Duration) error {
	made, err := weights.Open(c.Target)
	if err != nil {
		return err
	}
	var before, after int64
	for _, t := range made.Tensors() {
		after += int64(t.SizeBytes())
	}
	if source, err := openSource(c.Source); err == nil {
		for _, t := range source.Tensors() {
			before += int64(t.SizeBytes())
		}
		if err := source.Close(); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(std.out, "%s: %.1f MB of weights, from %.1f MB, in %.1f s\n",
		c.Target, float64(after)/1e6, float64(before)/1e6, elapsed.Seconds())
	return errors.Join(err, made.Close())
}

// openSource opens a folder, a model in the hub's cache, or the embedded model.
func openSource(source string) (*weights.Checkpoint, error) {
	if source == "builtin" {
		return builtin.Open()
	}
	dir, err := modelflags.Find(source)
	if err != nil {
		return nil, err
	}
	return weights.Open(dir)
}
