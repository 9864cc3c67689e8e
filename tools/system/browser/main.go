// Browser drives the server's page in headless Chromium: page.mjs has the checks. `./build.sh browser` runs it.
package main

import (
	"cmp"
	"context"
	"os/exec"
	"path/filepath"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/tools/fetched"
)

type options struct {
	Screenshots string `arg:"" optional:"" help:"Folder for screenshots. Default: one in the cache folder."`
}

func main() {
	cli.Program{
		Name: "browser", Description: "Drives the page of bin/metalrank in headless Chromium.", Grammar: &options{},
	}.Main()
}

// Run is called by cli.Run. It runs page.mjs against bin/metalrank, from the root of the repository.
func (o *options) Run(ctx context.Context, std cli.Streams) error {
	cache, err := fetched.Cache()
	if err != nil {
		return err
	}
	screenshots := cmp.Or(o.Screenshots, filepath.Join(cache, "browser", "screenshots"))
	chromium, err := fetched.Chromium(ctx, std.Err)
	if err != nil {
		return err
	}
	sources := filepath.Join("tools", "system", "browser")
	modules, err := fetched.NodeModules(ctx, filepath.Join(cache, "browser"), sources, "playwright-core, 12 MB", std.Err)
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
	node.Stdout, node.Stderr = std.Out, std.Err
	return node.Run()
}
