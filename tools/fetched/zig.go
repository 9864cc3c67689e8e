package fetched

import (
	"context"
	"io"
	"path/filepath"
)

// ZigVersion is the release of the Python package ziglang, which brings clang 20 with Objective-C, linkers for ELF and
// Mach-O, musl, and Apple's libSystem and objc headers, on any system: 90 MB.
const ZigVersion = "0.15.2"

// Zig returns the path of zig. It fetches zig first unless it is there.
func Zig(ctx context.Context, progress io.Writer) (string, error) {
	return Wheel(ctx, progress, "ziglang", ZigVersion, filepath.Join("ziglang", "zig"))
}

// ZigPath is the path that Zig returns.
func ZigPath() (string, error) {
	tools, err := Tools()
	return filepath.Join(tools, "ziglang-"+ZigVersion, "ziglang", "zig"), err
}
