package doctor

import (
	"context"
	"slices"
	"time"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/weights/builtin"
)

// speedRounds is the number of turns that a system's time is split into: so other load on the machine meets all systems.
const speedRounds = 5

// speedTokens is the longest pair that is measured. Four of 36 are longer, and would take two thirds of the time.
const speedTokens = 64

// Speed is how quickly a system scores the goldens' shorter pairs, again and again.
type Speed struct {
	System string `json:"system"`
	// The median of the rounds, and their extremes.
	PairsPerSecond float64 `json:"pairs_per_second"`
	Least          float64 `json:"least"`
	Most           float64 `json:"most"`
	TokensPerPair  float64 `json:"tokens_per_pair"`
	Rounds         int     `json:"rounds"`
	Error          string  `json:"error,omitempty"`
}

// runner is a system under measurement.
type runner struct {
	speed  Speed
	engine *engine.Engine
	rates  []float64 // of the rounds
}

// speeds measures the systems in turns. It leaves out simulated ones: their times mean nothing.
func (c *Config) speeds(ctx context.Context, drivers []Driver) []Speed {
	recorded, err := builtin.Goldens()
	if err != nil {
		return nil // the goldens' own part reports it
	}
	pairs := pairsOf(slices.DeleteFunc(recorded, func(r builtin.Golden) bool { return r.Tokens > speedTokens }))
	var runners []*runner
	for _, s := range systems(slices.DeleteFunc(slices.Clone(drivers), func(d Driver) bool { return d.Simulated })) {
		r := &runner{speed: Speed{System: s.String()}}
		runners = append(runners, r)
		if r.engine, err = c.open(ctx, s); err == nil {
			_, err = r.score(ctx, pairs) // not measured: the first pass takes memory, and compiles
		}
		r.fail(err)
	}
	for range speedRounds {
		for _, r := range runners {
			c.Progress("measuring " + r.speed.System)
			r.fail(r.round(ctx, pairs, c.SpeedTime/speedRounds))
		}
	}
	speeds := make([]Speed, len(runners))
	for i, r := range runners {
		speeds[i] = r.finish()
	}
	return speeds
}

// fail notes the first error.
func (r *runner) fail(err error) {
	if err != nil && r.speed.Error == "" {
		r.speed.Error = err.Error()
	}
}

// score returns the tokens that were scored.
func (r *runner) score(ctx context.Context, pairs []engine.Pair) (int, error) {
	scores, err := r.engine.Score(ctx, pairs, engine.Options{})
	if err != nil {
		return 0, err
	}
	return scores.Stats.Tokens, nil
}

// round scores pairs over and over for a time.
func (r *runner) round(ctx context.Context, pairs []engine.Pair, length time.Duration) error {
	if r.speed.Error != "" {
		return nil
	}
	begin, scored := time.Now(), 0
	for time.Since(begin) < length {
		tokens, err := r.score(ctx, pairs)
		if err != nil {
			return err
		}
		scored += len(pairs)
		r.speed.TokensPerPair = float64(tokens) / float64(len(pairs))
	}
	r.rates = append(r.rates, float64(scored)/time.Since(begin).Seconds())
	return nil
}

// finish closes the engine and sums up.
func (r *runner) finish() Speed {
	if r.engine != nil {
		r.fail(r.engine.Close())
	}
	if r.rates != nil && r.speed.Error == "" {
		slices.Sort(r.rates)
		r.speed.Rounds = len(r.rates)
		r.speed.Least, r.speed.PairsPerSecond, r.speed.Most = r.rates[0], r.rates[len(r.rates)/2], r.rates[len(r.rates)-1]
	}
	return r.speed
}
