package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"

	"github.com/metalrank/metalrank/tools/bench/peers/python"
	"github.com/metalrank/metalrank/tools/sweep/peers"
	"github.com/metalrank/metalrank/tools/sweep/target"
)

// setUp makes everything that the options do not name: the peers' environment, the program of our worker, and the embedded
// model in fp32, which the peers can read.
func (o *options) setUp(ctx context.Context, progress io.Writer) error {
	if o.Cache == "" {
		var err error
		if o.Cache, err = peers.Folder(); err != nil {
			return err
		}
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
	var err error
	o.Model, err = target.ModelFolder(ctx, o.Cache, o.Model)
	return err
}
