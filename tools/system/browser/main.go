// Browser drives the server's page in headless Chromium: page.mjs has the checks. `./build.sh browser` runs it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/metalrank/metalrank/tools/fetched"
)

func main() {
	if len(os.Args) > 2 || (len(os.Args) == 2 && os.Args[1] != "" && os.Args[1][0] == '-') {
		fmt.Fprintln(os.Stderr, "usage: browser [FOLDER for screenshots]")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := drive(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "browser:", err)
		os.Exit(1)
	}
}

// drive runs page.mjs against bin/metalrank, from the root of the repository.
func drive(ctx context.Context, folders []string) error {
	cache, err := fetched.Cache()
	if err != nil {
		return err
	}
	screenshots := filepath.Join(cache, "browser", "screenshots")
	if len(folders) > 0 {
		screenshots = folders[0]
	}
	chromium, err := fetched.Chromium(ctx, os.Stderr)
	if err != nil {
		return err
	}
	sources := filepath.Join("tools", "system", "browser")
	modules, err := fetched.NodeModules(ctx, filepath.Join(cache, "browser"), sources, "playwright-core, 12 MB", os.Stderr)
	if err != nil {
		return err
	}
	for _, path := range []*string{&screenshots, &chromium, &modules} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	program, err := filepath.Abs(filepath.Join("bin", "metalrank"))
	if err != nil {
		return err
	}
	node := exec.CommandContext(ctx, "node", filepath.Join(modules, "page.mjs"), program, chromium, screenshots)
	node.Stdout, node.Stderr = os.Stdout, os.Stderr
	return node.Run()
}
