package cpu

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func startsOf(lengths []int) []int32 {
	starts := []int32{0}
	for _, n := range lengths {
		starts = append(starts, starts[len(starts)-1]+int32(n))
	}
	return starts
}

// With any lengths, every sequence is in one chunk, no chunk is beyond the capacity, and sums are right.
func TestPlanIsAPartition(t *testing.T) {
	p := plan{}
	rapid.Check(t, func(t *rapid.T) {
		p.workers, p.target, p.capacity = rapid.IntRange(1, 70).Draw(t, "workers"), 384, 768
		lengths := rapid.SliceOfN(rapid.IntRange(1, 768), 1, 80).Draw(t, "lengths")
		p.make(startsOf(lengths), nil)
		seen := make([]bool, len(lengths))
		for _, c := range p.chunks {
			tokens := 0
			for _, s := range c.sequences {
				if seen[s] {
					t.Fatalf("sequence %d is in two chunks", s)
				}
				seen[s] = true
				tokens += lengths[s]
			}
			if tokens != c.tokens || tokens > p.capacity || tokens == 0 {
				t.Fatalf("a chunk of %d tokens says %d, at most %d", tokens, c.tokens, p.capacity)
			}
			if m := p.members(tokens); m < 1 || m > p.workers || !p.byRows && m != 1 {
				t.Fatalf("%d members of %d workers", m, p.workers)
			}
		}
		if i := slices.Index(seen, false); i >= 0 {
			t.Fatalf("sequence %d is in no chunk", i)
		}
	})
}

func TestPlanKeepsWorkersBusy(t *testing.T) {
	for _, c := range []struct {
		lengths []int
		workers int
		byRows  bool
		chunks  int
	}{
		{[]int{512}, 2, true, 1},                            // a single long sequence
		{[]int{40, 40, 40}, 2, true, 1},                     // three equal ones can't be split in two
		{[]int{40, 40, 40, 40}, 2, false, 2},                // four can
		{slices.Repeat([]int{128}, 32), 2, false, 12},       // 4096 tokens, 384 a chunk
		{[]int{512, 500, 20, 30, 256, 250, 5}, 2, false, 6}, // the short ones even out
		{[]int{300}, 1, false, 1},
	} {
		p := plan{workers: c.workers, target: 384, capacity: 768}
		p.make(startsOf(c.lengths), nil)
		if p.byRows != c.byRows || len(p.chunks) != c.chunks {
			t.Errorf("%v on %d workers: by rows %v in %d chunks, want %v in %d", c.lengths, c.workers, p.byRows, len(p.chunks), c.byRows, c.chunks)
		}
	}
}
