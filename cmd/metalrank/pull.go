package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/metalrank/metalrank/weights/hub"
)

type pullCommand struct {
	Model string `arg:"" help:"OWNER/MODEL, or OWNER/MODEL@REVISION."`
}

// Help is called by kong.
func (*pullCommand) Help() string {
	return "The cache is huggingface_hub's (HF_HOME, HF_HUB_CACHE), and so are HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE. " +
		"What was cut off is taken up again. The folder is printed."
}

// Validate is called by kong.
func (c *pullCommand) Validate() error {
	_, err := hub.ParseName(c.Model)
	return err
}

// Run is called by kong.
func (c *pullCommand) Run(ctx context.Context, std streams) error {
	name, err := hub.ParseName(c.Model)
	if err != nil {
		return err
	}
	bar := newProgress(std)
	dir, err := hub.FromEnvironment(os.Getenv).Pull(ctx, name, bar.set)
	bar.finish(err == nil)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, dir)
	return err
}

// findModel returns the folder that --model means: one that there is, or that of a model in the hub's cache.
func findModel(model string) (string, error) {
	if model == "" {
		return "", nil
	}
	if _, err := os.Stat(model); !errors.Is(err, fs.ErrNotExist) {
		return model, nil
	}
	name, err := hub.ParseName(model)
	if err != nil {
		return model, nil //nolint:nilerr // a path, whose absence is for the opener to tell
	}
	dir, err := hub.FromEnvironment(os.Getenv).Find(name)
	if errors.Is(err, hub.ErrNotCached) {
		return "", fmt.Errorf("no folder %s, and %w: \"metalrank pull %s\" fetches it", model, err, name)
	}
	return dir, err
}
