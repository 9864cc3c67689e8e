package gpu

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/metal"
)

// longestList is how long a command list should take at most. macOS ends a command buffer that keeps the window server from
// the GPU ("Impacting Interactivity"); Apple states no limit, and reports name seconds. A list of one operation may take
// longer.
const longestList = 100 * time.Millisecond

// firstRate is the assumed rate of a core, in operations a second, until passes have been timed: a seventh of the 2.6
// TFLOP/s that the M1's eight cores reach at most, so that the first pass of an untested device is cut too often and not
// too rarely.
const firstRate = 50e9

// unknownCores is the number of cores of the smallest GPU among Macs with Apple silicon, the M1's.
const unknownCores = 7

// pace estimates how long a device takes, by the cost of a pass and the times of earlier ones.
type pace struct {
	unlimited bool // no list is cut: the device is simulated

	mu   sync.Mutex
	rate float64 // guarded by mu: operations a second
}

func newPace(info *metal.Info) *pace {
	cores := info.Cores
	if cores == 0 {
		cores = unknownCores
	}
	return &pace{unlimited: info.Simulated, rate: firstRate * float64(cores)}
}

// limit is how many operations a list may have; 0: any number.
func (p *pace) limit() float64 {
	if p.unlimited {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rate * longestList.Seconds()
}

// leastTimed is how many operations a pass must have for its time to count: the time of smaller ones is mostly latency.
const leastTimed = 1e9

// add corrects the rate by a pass that took so long on the device. The last passes count for a quarter each.
func (p *pace) add(flops float64, elapsed time.Duration) {
	if flops < leastTimed || elapsed <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate += (flops/elapsed.Seconds() - p.rate) / 4
}

// failed halves the rate after a failure for a passing reason, since the list may have taken too long: the next try is cut more
// often, also where it is one sequence that can't be halved.
func (p *pace) failed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate /= 2
}

// perToken is the arithmetic of a token in a sequence of any length up to longest.
func perToken(s cost.Shape, longest int) float64 {
	flops, _ := cost.Total(cost.Pass(s, []int{longest}, cost.Format{}))
	return flops / float64(longest)
}

// operations lists the operations of a batch's pass in the order in which they are recorded.
func operations(s cost.Shape, batch *backend.Batch) []cost.Operation {
	lengths := make([]int, batch.Sequences())
	for i := range lengths {
		lengths[i] = int(batch.Starts[i+1] - batch.Starts[i])
	}
	return cost.Pass(s, lengths, cost.Format{})
}

// plan counts the pass of a batch, and decides whether it is cut into several lists. A small pass is neither cut nor timed, so
// that an upper bound is enough.
func (s *slot) plan(b *Backend, batch *backend.Batch) {
	s.limit, s.operations, s.listed, s.elapsed = b.session.pace.limit(), nil, 0, 0
	s.flops = b.perToken * float64(batch.Tokens())
	if s.flops < leastTimed && (s.limit == 0 || s.flops <= s.limit) {
		return
	}
	all := operations(b.costs, batch)
	s.flops, _ = cost.Total(all)
	if s.limit > 0 && s.flops > s.limit {
		s.operations = all
	}
}

// listsAhead is how many lists of a pass the device has at a time: one runs, and the next is ready. The lists of another pass
// come behind those.
const listsAhead = 2

// cut submits the operations recorded so far if the next one would make the list too long, once the device has few enough of
// the pass. Lists run one after another and see the writes of earlier ones, so that a cut changes no result.
func (s *slot) cut() error {
	if len(s.operations) < 2 {
		return nil // not cut, or that was the last
	}
	s.listed += s.operations[0].FLOPs
	s.operations = s.operations[1:]
	if s.listed+s.operations[0].FLOPs <= s.limit {
		return nil
	}
	s.listed = 0
	if err := s.submit(); err != nil {
		return err
	}
	return s.wait(s.ctx, listsAhead-1)
}

// submit submits the recorded list; wait waits for it.
func (s *slot) submit() error {
	pending, err := s.recorder.Commit()
	if err == nil {
		s.pending = append(s.pending, pending)
	}
	return err
}

// wait returns when the device has at most so many lists of the pass, or with ctx's error when ctx ends first. It adds the
// device's time to elapsed. Errors: the first *metal.ExecError.
func (s *slot) wait(ctx context.Context, most int) (err error) {
	for len(s.pending) > most {
		timing, failure := s.pending[0].Wait(ctx)
		if ctx.Err() != nil && (errors.Is(failure, ctx.Err()) || errors.Is(failure, context.Cause(ctx))) {
			return failure
		}
		s.pending = append(s.pending[:0], s.pending[1:]...)
		s.elapsed += timing.Elapsed()
		err = cmp.Or(err, failure)
	}
	return err
}
