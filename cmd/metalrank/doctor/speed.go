package doctor

import (
	"context"
	"errors"
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
		if r.engine, err = c.open(ctx, s, engine.TuneAuto); err == nil {
			_, err = r.score(ctx, pairs) // not measured: the first pass takes memory, and compiles
		}
		r.fail(err)
	}
	for range speedRounds {
		for _, r := range runners {
			c.step("measuring %s", r.speed.System)
			r.fail(r.round(ctx, pairs, c.SpeedTime/speedRounds))
		}
	}
	speeds := make([]Speed, len(runners))
	for i, r := range runners {
		speeds[i] = r.finish()
		c.logf("%+v", speeds[i])
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

// Latency is the time of one request, at once after others and after the machine was idle.
type Latency struct {
	System string  `json:"system"`
	Pairs  int     `json:"pairs"`  // of a request
	HotMS  float64 `json:"hot_ms"` // median
	// Idle has the times after pauses, the shortest pause first.
	Idle  []Pause `json:"idle"`
	Error string  `json:"error,omitempty"`
}

// Pause is a pause of all systems, and the time of the first request behind it.
type Pause struct {
	Seconds float64 `json:"idle_s"`
	MS      float64 `json:"ms"`
}

const (
	latencyPairs = 8
	hotRequests  = 15
)

// latencies measures the first system of each backend, one after another: nothing else runs in a pause.
func (c *Config) latencies(ctx context.Context, drivers []Driver) []Latency {
	recorded, err := builtin.Goldens()
	if err != nil {
		return nil // the goldens' own part reports it
	}
	pairs := pairsOf(slices.DeleteFunc(recorded, func(r builtin.Golden) bool { return r.Tokens > speedTokens }))
	pairs = pairs[:min(len(pairs), latencyPairs)]
	firsts := []system{cpuSystems[0]}
	for _, d := range drivers {
		if d.real() {
			firsts = slices.Insert(firsts, 0, system{backend: d.Name, precision: driverSystems[0].precision})
		}
	}
	var all []Latency
	for _, s := range firsts {
		l := Latency{System: s.String(), Pairs: len(pairs)}
		if err := c.latency(ctx, s, pairs, &l); err != nil {
			l.Error = err.Error()
		}
		c.logf("%+v", l)
		all = append(all, l)
	}
	return all
}

func (c *Config) latency(ctx context.Context, s system, pairs []engine.Pair, l *Latency) (err error) {
	e, err := c.open(ctx, s, engine.TuneAuto)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	request := func() (float64, error) {
		begin := time.Now()
		_, err := e.Score(ctx, pairs, engine.Options{})
		return milliseconds(time.Since(begin)), err
	}
	c.step("latency of %v", s)
	if _, err := request(); err != nil { // not measured: the first pass takes memory, and compiles
		return err
	}
	hot := make([]float64, hotRequests)
	for i := range hot {
		if hot[i], err = request(); err != nil {
			return err
		}
	}
	slices.Sort(hot)
	l.HotMS = hot[hotRequests/2]
	for _, idle := range c.Idle {
		c.step("latency of %v after %v", s, idle)
		select {
		case <-time.After(idle):
		case <-ctx.Done():
			return ctx.Err()
		}
		took, err := request()
		if err != nil {
			return err
		}
		l.Idle = append(l.Idle, Pause{idle.Seconds(), took})
	}
	return nil
}
