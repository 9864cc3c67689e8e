package main

import (
	"context"
	"os"
	"syscall"

	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/open"
)

// captureVariable makes Metal capture into files; macOS before 14 knows it as METAL_CAPTURE_ENABLED.
const captureVariable = "MTL_CAPTURE_ENABLED"

// withCapture starts the program again with captureVariable, unless it has it: Metal reads it when the process begins.
func withCapture() error {
	if os.Getenv(captureVariable) != "" {
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(program, os.Args, append(os.Environ(), captureVariable+"=1", "METAL_CAPTURE_ENABLED=1"))
}

// capturePass records one pass in a file that Xcode opens.
func capturePass(ctx context.Context, device metal.Device, b *gpu.Backend, in *input, path string) error {
	stop, err := open.Capture(device, path)
	if err != nil {
		return err
	}
	defer stop()
	return b.Forward(ctx, &in.batch, in.out)
}
