package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/metalrank/metalrank/tools/bench/peers/python"
	"github.com/metalrank/metalrank/tools/fetched"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/convert"
)

// setUp makes everything that the options do not name: the peers' environment, the program of our worker, and the embedded
// model in fp32, which the peers can read.
func (o *options) setUp(ctx context.Context, progress io.Writer) error {
	if o.Cache == "" {
		cache, err := fetched.Cache()
		if err != nil {
			return err
		}
		o.Cache = filepath.Join(cache, "peers")
	}
	if o.Python == "" {
		var err error
		if o.Python, err = python.Environment.Install(ctx, o.Cache, progress); err != nil {
			return err
		}
	}
	if o.Engine == "" {
		o.Engine = filepath.Join(o.Cache, "bin", "metalrank")
		build := exec.CommandContext(ctx, "go", "build", "-o", o.Engine, "./tools/bench/peers/metalrank")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	if o.Model == "" {
		return o.writeEmbedded(ctx)
	}
	return nil
}

func (o *options) writeEmbedded(ctx context.Context) error {
	data, err := os.ReadFile(filepath.Join("weights", "builtin", "model.safetensors.zst"))
	if err != nil {
		return fmt.Errorf("run this in the root of the repository: %w", err)
	}
	hash := sha256.Sum256(data)
	folder := filepath.Join(o.Cache, "minilm-fp32-"+hex.EncodeToString(hash[:])[:12])
	o.Model = filepath.Join(folder, "model")
	return fetched.Once(folder, func(unfinished string) error {
		checkpoint, err := builtin.Open()
		if err != nil {
			return err
		}
		defer checkpoint.Close()
		return convert.Folder(ctx, checkpoint, filepath.Join(unfinished, "model"), convert.Options{Float: weights.F32})
	})
}
