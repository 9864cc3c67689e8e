package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/metalrank/metalrank/cmd/metalrank-bulk/bulk"
)

type statusCommand struct {
	serverFlags
	Job   string        `help:"Only this job." placeholder:"NAME"`
	JSON  bool          `name:"json" help:"One JSON object instead of tables."`
	Watch time.Duration `help:"Show it again every so often." placeholder:"TIME"`
}

// Validate is called by kong.
func (c *statusCommand) Validate() error {
	if c.Watch < 0 {
		return fmt.Errorf("--watch is %v, want 0 (once) or more", c.Watch)
	}
	return c.serverFlags.Validate()
}

// fleet is all that status shows.
type fleet struct {
	Jobs    []*bulk.Status      `json:"jobs"`
	Workers []bulk.WorkerStatus `json:"workers"`
}

// Run is called by kong.
func (c *statusCommand) Run(ctx context.Context, std streams) error {
	client, err := c.connect(ctx, "metalrank bulk status", std)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		f, err := c.read(ctx, client)
		if err != nil {
			return err
		}
		if c.JSON {
			if err := json.NewEncoder(std.Out).Encode(f); err != nil {
				return err
			}
		} else if err := f.print(std.Out); err != nil {
			return err
		}
		if c.Watch <= 0 {
			return nil
		}
		select {
		case <-time.After(c.Watch):
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *statusCommand) read(ctx context.Context, client *bulk.Client) (*fleet, error) {
	names := []string{c.Job}
	if c.Job == "" {
		jobs, err := client.Jobs(ctx)
		if err != nil {
			return nil, err
		}
		names = names[:0]
		for _, j := range jobs {
			names = append(names, j.Name)
		}
	}
	f := &fleet{Jobs: []*bulk.Status{}}
	for _, name := range names {
		s, err := client.Status(ctx, name)
		if err != nil && (c.Job != "" || !errors.Is(err, bulk.ErrNoJob)) {
			return nil, err
		}
		if err == nil {
			f.Jobs = append(f.Jobs, s)
		}
	}
	var err error
	f.Workers, err = client.Workers(ctx)
	return f, err
}

// asideShown is how many pairs that were set aside a table lists.
const asideShown = 10

func (f *fleet) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "JOB\tPAIRS\tCHUNKS\tDONE\tWORKING\tREDELIVERED\tWAITING\tASIDE\tDISK")
	left := 0
	for _, s := range f.Jobs {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f MB\n", s.Job.Name, pairs(s.Job), s.Job.Chunks, s.Done, s.Working,
			s.Redelivered, s.Waiting, len(s.Aside), float64(s.WorkBytes+s.ResultBytes)/1e6)
		left += s.Job.Pairs - s.PairsDone()
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, s := range f.Jobs {
		for i, a := range s.Aside {
			if i == asideShown {
				fmt.Fprintf(w, "job %s: … and %d more\n", s.Job.Name, len(s.Aside)-asideShown)
				break
			}
			fmt.Fprintf(w, "job %s: pair %d is set aside: %s\n", s.Job.Name, a.Index, a.Reason)
		}
	}
	fmt.Fprintln(t, "\nWORKER\tMODEL\tUP\tCHUNKS\tPAIRS\tPAIRS/S\tS/CHUNK")
	rate := 0.0
	for _, s := range f.Workers {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%.0f\t%.2f\n", s.Name, s.Model, time.Since(s.Since).Round(time.Second), s.Chunks, s.Pairs,
			s.PairsPerSecond, s.ChunkSeconds)
		rate += s.PairsPerSecond
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "%d workers, %.0f pairs/s", len(f.Workers), rate)
	if left > 0 && rate > 0 {
		fmt.Fprintf(w, "; about %d pairs left, %s", left, (time.Duration(float64(left)/rate) * time.Second).Round(time.Second))
	}
	fmt.Fprintln(w)
	return nil
}

// pairs is how many pairs a job has, with a + while it is being submitted.
func pairs(j *bulk.Job) string {
	if j.Complete {
		return fmt.Sprint(j.Pairs)
	}
	return fmt.Sprintf("%d+", j.Pairs)
}

func progressLine(s *bulk.Status) string {
	return fmt.Sprintf("job %s: %d of %d chunks have a result, workers have %d, %d wait; all submitted: %t", s.Job.Name, s.Done,
		s.Job.Chunks, s.Working, s.Waiting, s.Job.Complete)
}

type removeCommand struct {
	serverFlags
	jobFlag
}

// Validate is called by kong.
func (c *removeCommand) Validate() error {
	return errors.Join(c.serverFlags.Validate(), c.jobFlag.Validate())
}

// Run is called by kong.
func (c *removeCommand) Run(ctx context.Context, std streams) error {
	client, err := c.connect(ctx, "metalrank bulk remove "+c.Job, std)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Remove(ctx, c.Job); err != nil {
		return err
	}
	std.say("job %s: removed", c.Job)
	return nil
}
