package plan

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/metalrank/metalrank/internal/record"
)

// batchTokens is how many tokens a node computes at a time: the engine's default, and about that of other runtimes.
const batchTokens = 4096

// Curve is how quickly a node of one kind scores, as measured.
type Curve struct {
	Machine string // "Apple M4 Pro, 12 cores"
	System  string // "metalrank metal fp16"
	// A request that has the node to itself takes AloneFixed, and AloneToken for each of its tokens, from when the client
	// sends it.
	AloneFixed, AloneToken time.Duration
	// TokensPerSecond is the most that any cell reached.
	TokensPerSecond float64
	// LeastTokensPerPair and MostTokensPerPair bound the mean lengths of the cells' pairs. Time per token grows with the
	// length of a pair, so that a curve says little about a load far outside of them.
	LeastTokensPerPair, MostTokensPerPair float64
	// Cells is the number of cells behind the curve. Misfit is the largest difference between the line and one of the cells
	// that it was fitted to, as a part of the measured time.
	Cells  int
	Misfit float64
}

// ErrNoCurve marks a record without cells to plan with.
var ErrNoCurve = errors.New("plan: no closed-loop cells")

// Curves returns one curve for each system that a run measured, in the order in which they come. Open loops and cells with
// errors say nothing about capacity, and are left out.
func Curves(run *record.Run) ([]Curve, error) {
	var names []string
	cells := map[string][]*record.Cell{}
	for _, t := range run.Tables {
		name := systemName(&t.System)
		for _, c := range t.Cells {
			if c.Error != "" || c.Loop != record.Closed || c.Pairs == 0 || !(c.Seconds > 0) || !(c.Lengths.Mean > 0) {
				continue
			}
			if cells[name] == nil {
				names = append(names, name)
			}
			cells[name] = append(cells[name], c)
		}
	}
	if names == nil {
		return nil, fmt.Errorf("%w in a run of %d tables", ErrNoCurve, len(run.Tables))
	}
	machine := fmt.Sprintf("%s, %d cores", run.Host.CPU, run.Host.Cores)
	curves := make([]Curve, len(names))
	for i, name := range names {
		curves[i] = fit(cells[name])
		curves[i].Machine, curves[i].System = machine, name
	}
	return curves, nil
}

func systemName(s *record.System) string {
	parts := []string{s.Backend, s.Device, s.DType, s.Model}
	if s.Instances > 1 {
		parts = append(parts, fmt.Sprintf("x%d", s.Instances))
	}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), " ")
}

// fit finds the line through the cells with one client: their time for a request is its latency. Where there are none, it
// takes those with the fewest clients: their time for a request is the node's total time over the number of requests.
func fit(cells []*record.Cell) Curve {
	c := Curve{Cells: len(cells), LeastTokensPerPair: math.Inf(1)}
	fewest := slices.MinFunc(cells, func(a, b *record.Cell) int { return a.Concurrency - b.Concurrency }).Concurrency
	var tokens, seconds []float64
	for _, cell := range cells {
		mean := cell.Lengths.Mean
		c.TokensPerSecond = max(c.TokensPerSecond, float64(cell.Pairs)*mean/cell.Seconds)
		c.LeastTokensPerPair, c.MostTokensPerPair = min(c.LeastTokensPerPair, mean), max(c.MostTokensPerPair, mean)
		if cell.Concurrency == fewest {
			requests := float64(cell.Requests)
			tokens = append(tokens, float64(cell.Pairs)/requests*mean)
			seconds = append(seconds, cell.Seconds/requests)
		}
	}
	fixed, token := line(tokens, seconds)
	for i := range tokens {
		c.Misfit = max(c.Misfit, math.Abs(fixed+token*tokens[i]-seconds[i])/seconds[i])
	}
	c.AloneFixed, c.AloneToken = duration(fixed), duration(token)
	return c
}

// line returns a and b, neither below 0, of the line y = a + b·x with the least sum of squares of relative differences.
func line(x, y []float64) (a, b float64) {
	var w, wx, wxx, wy, wxy float64
	for i := range x {
		weight := 1 / (y[i] * y[i])
		w += weight
		wx += weight * x[i]
		wxx += weight * x[i] * x[i]
		wy += weight * y[i]
		wxy += weight * x[i] * y[i]
	}
	determinant := w*wxx - wx*wx
	if determinant > 1e-9*w*wxx { // else all x are the same
		a, b = (wxx*wy-wx*wxy)/determinant, (w*wxy-wx*wy)/determinant
	} else {
		a, b = -1, 0
	}
	switch {
	case a < 0:
		return 0, wxy / wxx // through the origin
	case b < 0:
		return wy / w, 0
	}
	return a, b
}

// alone returns the seconds that a request of so many tokens takes if it has the node to itself.
func (c *Curve) alone(tokens float64) float64 {
	return c.AloneFixed.Seconds() + tokens*c.AloneToken.Seconds()
}

// device splits the time of a batch, in seconds, into a fixed part and one for each token, such that full batches reach
// TokensPerSecond. The fixed part is at most AloneFixed, some of which passes while the device works on something else.
func (c *Curve) device() (fixed, token float64) {
	full := batchTokens / c.TokensPerSecond
	fixed = min(c.AloneFixed.Seconds(), full/2)
	return fixed, (full - fixed) / batchTokens
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
