package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/builtin"
)

// profile holds the measurements of one pass.
type profile struct {
	Backend   string        `json:"backend"`
	Device    string        `json:"device"`
	Precision string        `json:"precision"`
	Model     string        `json:"model"`
	Sequences int           `json:"sequences"`
	Tokens    int           `json:"tokens"`
	Rounds    int           `json:"rounds"`
	Wall      time.Duration `json:"wall_ns"` // of the round shown, which is the median; 0: not measured
	Worst     time.Duration `json:"wall_p95_ns"`
	Rows      []row         `json:"rows"` // in the order of the pass
	Roofline  *roofline     `json:"roofline,omitempty"`
}

// input is the checkpoint and the batch that are profiled.
type input struct {
	checkpoint *weights.Checkpoint
	lengths    []int
	batch      backend.Batch
	out        []float32
}

func openInput(o *options) (*input, error) {
	in := &input{}
	var err error
	fallback := "32x128"
	if o.Backend == "sim" {
		fallback = "2x32"
	}
	if in.lengths, err = parseLengths(cmp.Or(o.Lengths, fallback)); err != nil {
		return nil, err
	}
	if o.Model == "" {
		in.checkpoint, err = builtin.Open()
	} else {
		in.checkpoint, err = weights.Open(o.Model)
	}
	if err != nil {
		return nil, err
	}
	c := in.checkpoint.Config()
	if longest := slices.Max(in.lengths); longest > c.MaxPositions {
		return nil, errors.Join(fmt.Errorf("--lengths has %d tokens, the model takes %d", longest, c.MaxPositions), in.checkpoint.Close())
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, length := range in.lengths {
		ids, types := make([]int32, length), make([]int32, length)
		for i := range ids {
			ids[i], types[i] = int32(random.IntN(c.VocabSize)), int32(2*i/length%c.TypeVocab)
		}
		in.batch.Append(ids, types)
	}
	in.out = make([]float32, len(in.lengths)*len(c.Labels))
	return in, nil
}

// Bounds of --lengths.
const (
	maxSequences = 4096
	maxTokens    = 1 << 20
)

// parseLengths reads a list of COUNTxTOKENS and TOKENS.
func parseLengths(text string) ([]int, error) {
	var lengths []int
	tokens := 0
	for item := range strings.SplitSeq(text, ",") {
		count, size, several := strings.Cut(item, "x")
		if !several {
			count, size = "1", item
		}
		n, err := strconv.Atoi(count)
		length, err2 := strconv.Atoi(size)
		if err != nil || err2 != nil || n < 1 || length < 1 || n > maxSequences || length > maxTokens {
			return nil, fmt.Errorf("--lengths has %q, want TOKENS or COUNTxTOKENS, COUNT up to %d", item, maxSequences)
		}
		lengths = append(lengths, slices.Repeat([]int{length}, n)...)
		if tokens += n * length; len(lengths) > maxSequences || tokens > maxTokens {
			return nil, fmt.Errorf("--lengths has more than %d sequences or %d tokens", maxSequences, maxTokens)
		}
	}
	return lengths, nil
}

// profilePass profiles a pass and shows it as the options say.
func profilePass(ctx context.Context, o *options, out, errOut io.Writer) (err error) {
	in, err := openInput(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.checkpoint.Close()) }()
	var p *profile
	if o.Backend == "cpu" {
		p, err = profileCPU(ctx, o, in)
	} else {
		p, err = profileGPU(ctx, o, in)
	}
	if err != nil {
		return err
	}
	p.Backend, p.Model = o.Backend, in.checkpoint.Name()
	p.Sequences, p.Tokens = len(in.lengths), in.batch.Tokens()
	if o.Folded != "" {
		if err := writeFolded(o.Folded, p); err != nil {
			return err
		}
	}
	if o.Roofline != "" {
		if err := drawRoofline(o.Roofline, p); err != nil {
			return err
		}
		fmt.Fprintf(errOut, "kprof: wrote %s/roofline.html, and the pictures in it\n", o.Roofline)
	}
	if o.JSON {
		return writeJSON(out, p)
	}
	printProfile(out, p)
	return nil
}

// matched sets the FLOPs and the least bytes of rows from the operations of package cost. Other rows keep zeros.
func matched(rows []row, operations []cost.Operation) {
	for i := range rows {
		r := &rows[i]
		for _, o := range operations {
			if o.Layer == r.Layer && string(o.Name) == r.Name {
				r.FLOPs, r.Least = o.FLOPs, o.Bytes
			}
		}
	}
}
