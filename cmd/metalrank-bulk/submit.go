package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/metalrank/metalrank/cmd/metalrank-bulk/bulk"
	"github.com/metalrank/metalrank/cmd/metalrank-bulk/bulk/table"
)

type submitCommand struct {
	serverFlags
	jobFlag
	Pairs          string        `help:"Pairs as JSON lines, {\"query\":…, \"text\":…}; \"-\" is standard input. *.parquet: a Parquet file." required:"" placeholder:"FILE"`
	QueryColumn    string        `help:"Column of a Parquet file with the queries." default:"query" needs:"pairs=*.parquet" placeholder:"NAME"`
	TextColumn     string        `help:"Column of a Parquet file with the texts." default:"text" needs:"pairs=*.parquet" placeholder:"NAME"`
	RawScores      bool          `help:"Ask for logits, without the model's activation."`
	RequireModel   string        `help:"Let only workers of this model score the job; \"NAME, PRECISION\", as status shows it." placeholder:"MODEL"`
	ChunkTokens    int           `help:"About how many tokens a chunk has, taking four bytes for one. What a worker does in a second is fine. Default: 16384." placeholder:"N"`
	PairTokens     int           `help:"What a long pair counts for, since models truncate it. Default: 512." placeholder:"N"`
	AckWait        time.Duration `help:"After how long without a sign of life a worker's chunks are given to others. Default: 30s." placeholder:"TIME"`
	Tries          int           `help:"How often a chunk is tried as a whole, and the pair that workers die of by itself. Default: 3." placeholder:"N"`
	MaxQueued      int           `help:"Chunks that may wait on the server; submit waits for room. Default: 4096." placeholder:"N"`
	MaxQueuedBytes int64         `help:"Their bytes. Default: 1 GiB." placeholder:"N"`
	MaxPending     int           `help:"Chunks that all workers together may hold. Default: 1024." placeholder:"N"`
	Replicas       int           `help:"Servers of a cluster that keep the job. Default: 1." placeholder:"N"`
	Repair         bool          `help:"Put in again what the server has lost, as \"collect\" says."`
}

// Help is called by kong.
func (*submitCommand) Help() string {
	return "Cut off, run it again with the same input and flags: what the server has is read and compared, but not sent again. " +
		"Another input under the same name is refused."
}

// Validate is called by kong.
func (c *submitCommand) Validate() error {
	return cmp.Or(c.serverFlags.Validate(), c.jobFlag.Validate(), c.spec().Validate())
}

func (c *submitCommand) spec() bulk.Spec {
	return bulk.Spec{
		ChunkTokens: c.ChunkTokens, MaxLength: c.PairTokens, RawScores: c.RawScores, Model: c.RequireModel, AckWait: c.AckWait,
		Tries: c.Tries, MaxQueued: c.MaxQueued, MaxQueuedBytes: c.MaxQueuedBytes, MaxPending: c.MaxPending, Replicas: c.Replicas,
	}
}

// Run is called by kong.
func (c *submitCommand) Run(ctx context.Context, std streams) error {
	if c.Pairs != "-" { // before there is a job: a wrong name must leave none
		info, err := os.Stat(c.Pairs)
		if err == nil && info.IsDir() {
			err = fmt.Errorf("--pairs %s is a folder, want a file", c.Pairs)
		}
		if err != nil {
			return err
		}
	}
	client, err := c.connect(ctx, "metalrank bulk submit "+c.Job, std)
	if err != nil {
		return err
	}
	defer client.Close()
	now := newTicker()
	j, err := client.Submit(ctx, bulk.Submission{
		Job: c.Job, Repair: c.Repair, Spec: c.spec(),
		Pairs: table.Pairs(ctx, c.Pairs, table.Columns{Query: c.QueryColumn, Text: c.TextColumn}, std.In),
		OnProgress: func(p bulk.SubmitProgress) {
			switch {
			case !now.due():
			case p.Waiting != nil:
				std.say("job %s: waiting after %d pairs: %v", c.Job, p.Pairs, p.Waiting)
			default:
				std.say("job %s: %d pairs in %d chunks submitted, %d of them before", c.Job, p.Pairs, p.Chunks, p.Skipped)
			}
		},
	})
	if err != nil {
		return err
	}
	std.say("job %s: all of %d pairs submitted, in %d chunks", c.Job, j.Pairs, j.Chunks)
	return nil
}
