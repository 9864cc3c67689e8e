// Container makes the container image of a version from its archives for Linux, runs it in a root of its own, and checks the
// manifests that start it. `./build.sh release image` runs it. It is a module of its own, so that the product depends on none
// of this.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "container:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "build":
		return build(args[1])
	case len(args) == 2 && args[0] == "try":
		images, err := filepath.Glob(filepath.Join(args[1], "metalrank-*-image.tar"))
		if err != nil || len(images) != 1 {
			return errors.Join(err, fmt.Errorf("%s has %d images, want 1", args[1], len(images)))
		}
		return try(ctx, images[0])
	case len(args) == 3 && args[0] == "check":
		return errors.Join(checkCompose(ctx, args[1]), checkKubernetes(args[2]))
	}
	return errors.New("usage: container build FOLDER | try FOLDER | check COMPOSE KUBERNETES")
}
