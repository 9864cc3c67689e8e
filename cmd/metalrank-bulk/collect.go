package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/metalrank/metalrank/cmd/metalrank-bulk/bulk"
	"github.com/metalrank/metalrank/cmd/metalrank-bulk/bulk/table"
)

type collectCommand struct {
	serverFlags
	jobFlag
	Output string `help:"Write to FILE instead of standard output; *.parquet: as Parquet. It is FILE.partial until it is whole." short:"o" placeholder:"FILE"`
	NoWait bool   `help:"Fail, instead of waiting, where the job isn't finished."`
	Mixed  bool   `help:"Allow results of different models or precisions."`
}

// Help is called by kong.
func (*collectCommand) Help() string {
	return "The lines are those of \"metalrank score\". A pair that could not be scored has {\"index\":…, \"error\":…}; the exit status is then 1, " +
		"with the output whole. Cut off, run it again with the same -o: JSON lines go on where they ended, Parquet is begun anew. " +
		"Results stay on the server until \"remove\"."
}

// Validate is called by kong.
func (c *collectCommand) Validate() error {
	return errors.Join(c.serverFlags.Validate(), c.jobFlag.Validate())
}

// Run is called by kong.
func (c *collectCommand) Run(ctx context.Context, std streams) error {
	client, err := c.connect(ctx, "metalrank bulk collect "+c.Job, std)
	if err != nil {
		return err
	}
	defer client.Close()
	out := table.NewStream(std.Out)
	if c.Output != "" {
		j, err := client.Job(ctx, c.Job)
		if err != nil {
			return err
		}
		if out, err = table.Create(c.Output, j.ID()); err != nil {
			return err
		}
	}
	if from := out.From(); from.Pairs > 0 {
		std.say("job %s: going on after %d pairs", c.Job, from.Pairs)
	}
	now := newTicker()
	at, err := client.Collect(ctx, bulk.Collection{
		Job: c.Job, From: out.From(), Output: out, NoWait: c.NoWait, Mixed: c.Mixed,
		OnWait: func(s *bulk.Status) {
			if now.due() {
				std.say("%s", progressLine(s))
			}
		},
	})
	if err := errors.Join(err, out.Close(err == nil)); err != nil {
		return err
	}
	if at.Aside > 0 {
		return fmt.Errorf("job %s: %d of %d pairs could not be scored: the output says why", c.Job, at.Aside, at.Pairs)
	}
	std.say("job %s: %d results", c.Job, at.Pairs)
	return nil
}
