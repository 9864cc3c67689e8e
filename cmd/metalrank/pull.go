package main

import (
	"context"
	"fmt"
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
