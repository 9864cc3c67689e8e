package doctor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/weights/builtin"
)

// shortTokens is the longest pair that goes through the simulator unless everything is asked for: it takes seconds for a
// pair of 512 tokens.
const shortTokens = 32

// simPairs is how many pairs go through the simulator at most unless everything is asked for. The cases of the kernels look at
// every kernel; these pairs look at how the layers are put together.
const simPairs = 8

// system is a backend at a precision, and how far its logits may be from transformers' in fp32.
type system struct {
	backend, precision string
	// tolerance: for fp32 on a CPU, the effect of the order of additions; ten times that in the kernels, where sums have
	// another order on each device; for fp16, its rounding through twelve layers; for int8, which rounds activations to
	// 256 steps a token, twice the largest difference seen on the embedded model's evaluation set.
	tolerance float64
}

func (s system) String() string { return s.backend + " " + s.precision }

// The systems of a CPU and of a driver of Metal; the first is the default.
var (
	cpuSystems = []system{
		{engine.BackendCPU, engine.PrecisionFP32, 1e-4}, {engine.BackendCPU, engine.PrecisionInt8, 0.45},
	}
	driverSystems = []system{{precision: engine.PrecisionFP16, tolerance: 2e-2}, {precision: engine.PrecisionFP32, tolerance: 1e-3}}
)

// Golden compares a system's logits of the embedded model's pairs with those of transformers.
type Golden struct {
	System  string `json:"system"`             // "cpu fp32"
	Pairs   int    `json:"pairs"`              //
	LeftOut int    `json:"left_out,omitempty"` // pairs
	// Difference is the largest difference of a logit; -1: it is no finite number.
	Difference float64 `json:"largest_difference"`
	Allowed    float64 `json:"allowed"`
	// Worst is the pair with that difference.
	Worst         int    `json:"worst_pair"`
	WorstQuery    string `json:"worst_query,omitempty"`
	WorstDocument string `json:"worst_document,omitempty"`
	Error         string `json:"error,omitempty"`
}

// Right says whether every logit is near enough.
func (g *Golden) Right() bool { return g.Error == "" && g.Difference >= 0 && g.Difference <= g.Allowed }

// systems returns those of the CPU, then of each driver that has a device.
func systems(drivers []Driver) []system {
	all := slices.Clone(cpuSystems)
	for _, d := range drivers {
		if d.Absent {
			continue
		}
		for _, s := range driverSystems {
			all = append(all, system{d.Name, s.precision, s.tolerance})
		}
	}
	return all
}

// goldens scores the embedded model's pairs on every system.
func (c *Config) goldens(ctx context.Context, drivers []Driver) []Golden {
	var results []Golden
	for _, s := range systems(drivers) {
		if ctx.Err() != nil {
			break
		}
		c.step("the embedded model's goldens on %v", s)
		results = append(results, c.golden(ctx, s))
		c.logf("%+v", results[len(results)-1])
	}
	return results
}

func (c *Config) golden(ctx context.Context, s system) (g Golden) {
	g.System, g.Allowed = s.String(), s.tolerance
	if err := c.compare(ctx, s, &g); err != nil {
		g.Error = err.Error()
	}
	return g
}

func (c *Config) compare(ctx context.Context, s system, g *Golden) (err error) {
	recorded, err := builtin.Goldens()
	if err != nil {
		return err
	}
	all := len(recorded)
	if s.backend == engine.BackendSim && !c.Full {
		recorded = slices.DeleteFunc(recorded, func(r builtin.Golden) bool { return r.Tokens > shortTokens })
		recorded = recorded[:min(len(recorded), simPairs)]
	}
	g.Pairs, g.LeftOut = len(recorded), all-len(recorded)
	// Under Metal's validation, times are no guide to the fastest kernels; and nothing is to be kept of them.
	e, err := c.open(ctx, s, engine.TuneOff)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	scores, err := e.Score(ctx, pairsOf(recorded), engine.Options{RawScores: true})
	if err != nil {
		return err
	}
	for i, r := range recorded {
		difference := finite(math.Abs(scores.Row(i)[0] - r.Logit))
		if i == 0 || g.Difference >= 0 && (difference < 0 || difference > g.Difference) {
			g.Difference, g.Worst, g.WorstQuery, g.WorstDocument = difference, i, r.Query, r.Document
		}
	}
	want := 0
	for _, r := range recorded {
		want += r.Tokens
	}
	if scores.Stats.Tokens != want {
		return fmt.Errorf("the pairs have %d tokens, want %d: the tokenizer is another", scores.Stats.Tokens, want)
	}
	return nil
}

// open opens the embedded model. tune is one of engine.Tunes.
func (c *Config) open(ctx context.Context, s system, tune string) (*engine.Engine, error) {
	return engine.Open(ctx, engine.Config{
		Embedded: builtin.Open, Backend: s.backend, Precision: s.precision, OpenDevice: c.OpenDevice, TokenCacheBytes: -1, Tune: tune,
	})
}

func pairsOf(recorded []builtin.Golden) []engine.Pair {
	pairs := make([]engine.Pair, len(recorded))
	for i, r := range recorded {
		pairs[i] = engine.Pair{Query: r.Query, Document: r.Document}
	}
	return pairs
}

// finite returns x, or -1 for NaN and infinities, which JSON doesn't have.
func finite(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return -1
	}
	return x
}
