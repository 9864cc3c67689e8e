package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// zigVersion is the release of the Python package ziglang, which brings clang 20 with Objective-C, a linker for
// Mach-O, and Apple's libSystem and objc headers, on any system. Build.sh's tools lie in the same place.
const zigVersion = "0.15.2"

// cacheFolder returns the folder that build.sh uses, too.
func cacheFolder() (string, error) {
	folder, err := os.UserCacheDir()
	return filepath.Join(folder, "metalrank"), err
}

// zigPath is where zig is, or will be.
func zigPath(cache string) string {
	return filepath.Join(zigFolder(cache), "ziglang", "zig")
}

func zigFolder(cache string) string {
	return filepath.Join(cache, "tools", runtime.GOOS+"-"+runtime.GOARCH, "ziglang-"+zigVersion)
}

// findZig returns the path of zig. Where zig is not there yet, it fetches it (90 MB) and says so on progress.
func findZig(ctx context.Context, cache string, progress io.Writer) (string, error) {
	path := zigPath(cache)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	fmt.Fprintf(progress, "darwincheck: fetching zig %s, once: 90 MB\n", zigVersion)
	return path, intoPlace(zigFolder(cache), func(unfinished string) error {
		pip := exec.CommandContext(ctx, "python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
			"--root-user-action=ignore", "--no-deps", "--only-binary=:all:", "--target", unfinished,
			"ziglang=="+zigVersion)
		if output, err := pip.CombinedOutput(); err != nil {
			return fmt.Errorf("zig comes through Python's pip: %w\n%s", err, output)
		}
		return nil
	})
}
