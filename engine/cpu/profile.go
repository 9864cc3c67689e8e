package cpu

/*
#include "forward.h"
*/
import "C"

import (
	"context"
	"time"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cost"
)

// Work that a backend of this package does besides the operations of package cost.
const (
	Gather cost.Name = "gather" // embeddings looked up, logits put in their places
	Narrow cost.Name = "narrow" // activations to the elements that products take
	Norm   cost.Name = "norm"   // layer norms
	Rotate cost.Name = "rotate" // queries and keys by their positions
	Gate   cost.Name = "gate"   // the two halves of a gated feed-forward block
	Wait   cost.Name = "wait"   // of a worker for others that share its sequences
)

// works are the names of enum work.
var works = [C.WORK_COUNT]cost.Name{
	C.WORK_GATHER: Gather, C.WORK_EMBED: cost.Embed, C.WORK_PROJECTION: cost.Projection, C.WORK_QKV: cost.QKV,
	C.WORK_KEYED: cost.KeysValues, C.WORK_QUERY: cost.Query, C.WORK_ATTENTION: cost.Attention,
	C.WORK_ATTENTION_OUTPUT: cost.AttentionOutput, C.WORK_INTERMEDIATE: cost.Intermediate, C.WORK_OUTPUT: cost.Output,
	C.WORK_HEAD: cost.Head, C.WORK_NARROW: Narrow, C.WORK_NORM: Norm, C.WORK_ROTATE: Rotate, C.WORK_GATE: Gate, C.WORK_WAIT: Wait,
}

// Profile has the times of the workers' work in one pass.
type Profile struct {
	Wall    time.Duration // of the whole pass
	Workers int
	// Busy is the working time of all workers together, by another clock than Spans. Wall · Workers - Busy is their idle
	// time.
	Busy  time.Duration
	Spans []Span
}

// Span is one kind of work in one layer, added up over all workers.
type Span struct {
	Layer int // from 0 on, or cost.NoLayer
	Name  cost.Name
	Calls uint64
	Time  time.Duration // by the cores' time stamp counters
	// FLOPs are the multiplications and additions of products, those of padded columns among them.
	FLOPs uint64
	Bytes uint64 // that operands and results have, once for each call
}

// profile is a Profile in the making. Each worker has a stopwatch of its own in C's memory.
type profile struct {
	arena     arena
	layers    int
	watches   []C.struct_stopwatch
	tallies   []C.struct_tally // [workers, layers + 1, WORK_COUNT]
	busy      []time.Duration  // by worker
	begin     time.Time
	beginTick C.uint64_t
}

func newProfile(workers, layers int) (*profile, error) {
	p := &profile{layers: layers, busy: make([]time.Duration, workers)}
	each := (layers + 1) * C.WORK_COUNT
	p.watches = takeSlice[C.struct_stopwatch](&p.arena, workers)
	p.tallies = takeSlice[C.struct_tally](&p.arena, workers*each)
	if err := p.arena.err; err != nil {
		p.arena.free()
		return nil, err
	}
	for i := range p.watches {
		p.watches[i].tallies = &p.tallies[i*each]
	}
	return p, nil
}

// begun begins to time a task of a worker.
func (p *profile) begun(s *scratch) {
	p.watches[s.worker].layer, p.watches[s.worker].last = C.int(p.layers), C.ticks()
}

// ended ends the time of a task that began at begin.
func (p *profile) ended(s *scratch, begin time.Time) {
	p.watches[s.worker].layer = C.int(p.layers)
	C.lap(&p.watches[s.worker], C.WORK_GATHER, 0, 0)
	p.busy[s.worker] += time.Since(begin)
}

// watch returns the stopwatch for C's part of a pass. If rows were gathered, it ends the time for that.
func (p *profile) watch(s *scratch, gathered bool) *C.struct_stopwatch {
	watch := &p.watches[s.worker]
	if !gathered {
		return watch
	}
	rows := C.uint64_t(s.pass[0].end - s.pass[0].begin)
	// Words count as floats, though those of the table may be narrower.
	C.lap(watch, C.WORK_GATHER, 0, rows*C.uint64_t(s.pass[0].model.e)*8)
	return watch
}

// Profile is Forward that also returns the times of its work. Nothing else should run on the machine meanwhile.
func (b *Backend) Profile(ctx context.Context, batch *backend.Batch, out []float32) (Profile, error) {
	p, err := newProfile(len(b.workers), len(b.plan.Layers))
	if err != nil {
		return Profile{}, err
	}
	defer p.arena.free()
	p.begin, p.beginTick = time.Now(), C.ticks()
	if err := b.forward(ctx, batch, out, p); err != nil {
		return Profile{}, err
	}
	return p.result(), nil
}

// result adds up the workers. The length of a tick in seconds follows from the pass itself.
func (p *profile) result() Profile {
	wall := time.Since(p.begin)
	tick := float64(wall) / float64(max(C.ticks()-p.beginTick, 1))
	r := Profile{Wall: wall, Workers: len(p.watches)}
	for _, busy := range p.busy {
		r.Busy += busy
	}
	each := (p.layers + 1) * C.WORK_COUNT
	for i := range each {
		layer := i / C.WORK_COUNT
		if layer == p.layers {
			layer = cost.NoLayer
		}
		s := Span{Layer: layer, Name: works[i%C.WORK_COUNT]}
		for w := range p.watches {
			t := p.tallies[w*each+i]
			s.Calls += uint64(t.calls)
			s.Time += time.Duration(float64(t.ticks) * tick)
			s.FLOPs += uint64(t.flops)
			s.Bytes += uint64(t.bytes)
		}
		if s.Calls > 0 {
			r.Spans = append(r.Spans, s)
		}
	}
	return r
}
