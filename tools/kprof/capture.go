package main

import (
	"context"

	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/open"
)

// capturePass records one pass in a file that Xcode opens.
func capturePass(ctx context.Context, device metal.Device, b *gpu.Backend, in *input, path string) error {
	stop, err := open.Capture(device, path)
	if err != nil {
		return err
	}
	defer stop()
	return b.Forward(ctx, &in.batch, in.out)
}
