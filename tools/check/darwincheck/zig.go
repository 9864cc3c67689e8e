package main

import (
	"context"
	"io"
	"path/filepath"

	"github.com/metalrank/metalrank/tools/fetched"
)

// zigVersion is the release of the Python package ziglang, which brings clang 20 with Objective-C, a linker for
// Mach-O, and Apple's libSystem and objc headers, on any system: 90 MB.
const zigVersion = "0.15.2"

// findZig returns the path of zig. It fetches zig first unless it is there.
func findZig(ctx context.Context, progress io.Writer) (string, error) {
	return fetched.Wheel(ctx, progress, "ziglang", zigVersion, filepath.Join("ziglang", "zig"))
}

// zigPath is the path that findZig returns.
func zigPath() (string, error) {
	tools, err := fetched.Tools()
	return filepath.Join(tools, "ziglang-"+zigVersion, "ziglang", "zig"), err
}
