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
	return "The cache is huggingface_hub's (HF_HOME, HF_HUB_CACHE), and so are HF_ENDPOINT, HF_TOKEN, the token of `hf auth login` and " +
		"HF_HUB_OFFLINE. What was cut off is taken up again. If the hub doesn't answer, what is in the cache is used. The folder is printed."
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
	var instead error
	dir, err := hub.FromEnvironment(os.Getenv).Pull(ctx, name, bar.set, func(reason error) { instead = reason })
	bar.finish(err == nil && instead == nil)
	if instead != nil {
		if _, err := fmt.Fprintf(std.err, "metalrank: using what is in the cache: %v\n", instead); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, dir)
	return err
}
