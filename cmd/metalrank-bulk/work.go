package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/metalrank/metalrank/cmd/cli/modelflags"
	"github.com/metalrank/metalrank/cmd/metalrank-bulk/bulk"
	"github.com/metalrank/metalrank/engine"
)

type workCommand struct {
	serverFlags
	modelflags.Flags
	Job          string        `help:"Work for this job alone." placeholder:"NAME"`
	UntilDone    bool          `help:"End when all jobs are submitted and scored, instead of waiting for more."`
	InFlight     int           `help:"Chunks in work at a time; enough that the device never waits. Default: 4." placeholder:"N"`
	ChunkTimeout time.Duration `help:"After how long a chunk counts as failed. Default: 10m." placeholder:"TIME"`
	Name         string        `help:"How status lists this worker; unique in the fleet. Default: host and process." placeholder:"NAME"`
}

// Help is called by kong.
func (*workCommand) Help() string {
	return "SIGTERM and SIGINT give chunks in work back at once; kill -9 is as safe, and others wait for --ack-wait of the job. " +
		"All workers of a job should have the same model and precision: collect refuses a mixture."
}

var badInName = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// Validate is called by kong.
func (c *workCommand) Validate() error {
	if c.Name != badInName.ReplaceAllString(c.Name, "") {
		return fmt.Errorf("--name %q: want A-Z, a-z, 0-9, - and _", c.Name)
	}
	w := bulk.Worker{InFlight: c.InFlight, ChunkTimeout: c.ChunkTimeout}
	return cmp.Or(c.serverFlags.Validate(), c.Flags.Validate(), w.Validate())
}

// Run is called by kong.
func (c *workCommand) Run(ctx context.Context, std streams) (err error) {
	std, closeLog := std.server()
	defer closeLog()
	name := c.Name
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "host"
		}
		name = fmt.Sprintf("%s-%d", badInName.ReplaceAllString(host, "-"), os.Getpid())
	}
	client, err := c.connect(ctx, "metalrank bulk work "+name, std)
	if err != nil {
		return err
	}
	defer client.Close()
	e, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	w := &bulk.Worker{
		Client: client, Scorer: e, Name: name, Model: modelName(e.Info()), InFlight: c.InFlight, Job: c.Job, UntilDone: c.UntilDone,
		ChunkTimeout: c.ChunkTimeout, Log: std.say,
	}
	std.say("worker %s: %s, on %s", name, w.Model, e.Info().Backend.Device)
	return w.Run(ctx)
}

// modelName names the model and its arithmetic; results with the same name may be mixed.
func modelName(i engine.Info) string {
	return i.Model + ", " + cmp.Or(i.Backend.DType, i.Backend.Name)
}
