package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/metalrank/metalrank/cmd/metalrank-bulk/bulk/embedded"
)

type serveCommand struct {
	Store     string `help:"Folder for jobs and results; made if it isn't there." placeholder:"DIR"`
	Listen    string `help:"Address for clients, HOST:PORT. One that other machines reach needs --token-file, or --config with users. Default: 127.0.0.1:4222, or what --config says." placeholder:"ADDRESS"`
	TokenFile string `help:"File with a token that clients must have (their --token-file)." type:"existingfile" placeholder:"FILE"`
	Config    string `help:"Configuration file of nats-server, for users, TLS, limits and clusters." type:"existingfile" placeholder:"FILE"`

	AllowAnyone bool `help:"Serve on an address that other machines reach without a token and without users: whoever reaches it reads and removes all jobs."`

	MaxStore int64  `help:"What may be on disk. Default: three quarters of what is free." placeholder:"BYTES"`
	Log      string `help:"The server's own log." placeholder:"FILE"`
}

// Help is called by kong.
func (*serveCommand) Help() string {
	return "A nats-server from 2.10 on will do as well, with jetstream enabled; clusters keep a job on several machines (submit --replicas). " +
		"Killing the server loses nothing that it had accepted; a machine that loses power may lose the last two minutes, which submit --repair puts in again."
}

// Validate is called by kong.
func (c *serveCommand) Validate() error {
	if c.Store == "" && c.Config == "" {
		return errors.New("want --store DIR, or --config FILE with a store_dir")
	}
	if c.MaxStore < 0 {
		return fmt.Errorf("--max-store is %d, want at least 1", c.MaxStore)
	}
	return nil
}

// StopTime implements cli.StopTimer: JetStream writes its store meanwhile.
func (c *serveCommand) StopTime() time.Duration { return 30 * time.Second }

// Run is called by kong.
func (c *serveCommand) Run(ctx context.Context, std streams) error {
	std, closeLog := std.server()
	defer closeLog()
	config := embedded.Config{File: c.Config, Listen: c.Listen, Store: c.Store, MaxStoreBytes: c.MaxStore, Log: c.Log, AllowAnyone: c.AllowAnyone}
	if c.TokenFile != "" {
		text, err := os.ReadFile(c.TokenFile)
		if err != nil {
			return err
		}
		if config.Token = strings.TrimSpace(string(text)); config.Token == "" {
			return fmt.Errorf("%s is empty: anybody could come in", c.TokenFile)
		}
	}
	s, err := embedded.Start(config)
	if errors.Is(err, embedded.ErrOpen) {
		return fmt.Errorf("%w: want --token-file, users in --config, --listen with a loopback address, or --allow-anyone", err)
	}
	if err != nil {
		return err
	}
	std.say("serving on %s", s.URL())
	<-ctx.Done()
	s.Close()
	return nil
}
