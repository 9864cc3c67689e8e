package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/httpapi"
)

type serveCommand struct {
	modelFlags
	Listen   string `help:"Address to listen on." default:"127.0.0.1:8080"`
	AnyModel bool   `help:"Answer requests for a model that isn't served, too, instead of refusing them."`
}

// drainTimeout bounds how long a stop waits for requests under way.
const drainTimeout = 30 * time.Second

// gcPercent is Go's GOGC for a server. What is on Go's heap is requests under way, a few MB; the model is not. At the
// default of 100 a busy server would collect garbage a hundred times a second.
const gcPercent = 400

// Run is called by kong. It serves until ctx ends, then finishes what was accepted.
func (c *serveCommand) Run(ctx context.Context, std streams) error {
	logger := slog.New(slog.NewTextHandler(std.err, nil))
	pool := engine.NewPool()
	models, err := c.load(ctx, pool, logger)
	if err != nil {
		return errors.Join(err, pool.Close())
	}
	return errors.Join(c.serve(ctx, models, logger), pool.Close())
}

func (c *serveCommand) serve(ctx context.Context, e *engine.Engine, std streams) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	logger := slog.New(slog.NewTextHandler(std.err, nil))
	server, err := httpapi.New(httpapi.Single(e), httpapi.Config{Version: version, Logger: logger, AnyModel: c.AnyModel})
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return err
	}
	for _, m := range models {
		logger.Info("serving", "address", listener.Addr().String(), "model", m.Name(), "backend", m.Info().Backend.Name)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
	}
	logger.Info("stopping", "finishing", "requests under way")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	return <-stopped
}
