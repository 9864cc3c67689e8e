package cpu

import (
	"cmp"
	"slices"
)

// plan cuts a batch into chunks. It depends on lengths alone, and no result depends on it: each row is computed in the
// same way wherever it lies.
type plan struct {
	workers  int
	target   int // tokens that a chunk should have
	capacity int // tokens that a chunk can have
	longest  int // tokens that a sequence can have, and a chunk in blocks
	shared   int // tokens that a chunk should have where sequences share prefixes
	order    []int32
	places   []int32 // the last chunk that has a sequence
	chunks   []chunk
	// byRows says that all workers take every chunk together, each some of its rows, and not one chunk each.
	byRows bool
	// inBlocks says that they take every chunk together through stages, since a sequence is longer than the capacity, or reads
	// the keys and values of another.
	inBlocks bool
}

// chunk is sequences that go through all layers together.
type chunk struct {
	sequences []int32
	tokens    int
	cost      int
}

// costOf is proportional to the time that a sequence takes. Attention's part grows with its length: at 1024 tokens, it
// is about as much as the rest.
func costOf(tokens int) int { return tokens * (1024 + tokens) }

const (
	// maxImbalance is how much longer than with an even spread, in percent, a batch may take for the sake of keeping
	// sequences whole.
	maxImbalance = 10
	// minMemberRows is how many rows a worker should have at least where a chunk is cut by rows: one tile.
	minMemberRows = 16
)

// make plans a batch with these starts [B+1] and prefixes [B], or nil. It reuses the plan's memory.
func (p *plan) make(starts, prefixes []int32) {
	if slices.ContainsFunc(prefixes, func(at int32) bool { return at >= 0 }) {
		p.inBlocks, p.byRows = true, false
		p.fillShared(starts, prefixes)
		return
	}
	tokens := int(starts[len(starts)-1])
	p.order = p.order[:0]
	for i := range len(starts) - 1 {
		p.order = append(p.order, int32(i))
	}
	length := func(i int32) int { return int(starts[i+1] - starts[i]) }
	// The longest first, so that the short ones even out the rest. Equal lengths keep their order.
	slices.SortFunc(p.order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(length(b), length(a)), cmp.Compare(a, b))
	})
	if p.inBlocks = length(p.order[0]) > p.capacity; p.inBlocks {
		p.byRows = false
		p.fill((tokens+p.longest-1)/p.longest, p.longest, starts)
		return
	}
	rounds := (tokens + p.workers*p.target - 1) / (p.workers * p.target)
	p.fill(rounds*p.workers, p.capacity, starts)
	if p.byRows = p.workers > 1 && p.uneven(); p.byRows {
		p.fill((tokens+p.capacity-1)/p.capacity, p.capacity, starts)
	}
	slices.SortFunc(p.chunks, func(a, b chunk) int { return cmp.Compare(b.cost, a.cost) })
}

// fill puts each sequence into the cheapest of n chunks that has room, up to a capacity, or into a new one.
func (p *plan) fill(n, capacity int, starts []int32) {
	p.chunks = resize(p.chunks, n)
	for i := range p.chunks {
		p.chunks[i].reset()
	}
	for _, s := range p.order {
		tokens := int(starts[s+1] - starts[s])
		best := -1
		for i := range p.chunks {
			if p.chunks[i].tokens+tokens <= capacity && (best < 0 || p.chunks[i].cost < p.chunks[best].cost) {
				best = i
			}
		}
		if best < 0 {
			best = len(p.chunks)
			p.chunks = resize(p.chunks, best+1)
			p.chunks[best].reset()
		}
		c := &p.chunks[best]
		c.sequences, c.tokens, c.cost = append(c.sequences, s), c.tokens+tokens, c.cost+costOf(tokens)
	}
	p.chunks = slices.DeleteFunc(p.chunks, func(c chunk) bool { return c.tokens == 0 })
}

// fillShared fills one chunk after the other in the order of the batch. A chunk has the prefixes of its sequences: where those
// of one prefix are in several chunks, it is computed in each. Only two sequences that must be together make a chunk larger
// than it should be.
func (p *plan) fillShared(starts, prefixes []int32) {
	p.chunks, p.places = p.chunks[:0], resize(p.places, len(prefixes))
	for i := range p.places {
		p.places[i] = -1
	}
	length := func(i int32) int { return int(starts[i+1] - starts[i]) }
	add := func(i int32) {
		at := len(p.chunks) - 1
		c := &p.chunks[at]
		p.places[i] = int32(at)
		c.sequences, c.tokens, c.cost = append(c.sequences, i), c.tokens+length(i), c.cost+costOf(length(i))
	}
	for i := range int32(len(prefixes)) {
		last, more := len(p.chunks)-1, length(i)
		apart := prefixes[i] >= 0 && int(p.places[prefixes[i]]) != last // from its prefix
		if apart {
			more += length(prefixes[i])
		}
		if last < 0 || p.chunks[last].tokens+more > p.shared {
			p.chunks = resize(p.chunks, last+2)
			p.chunks[last+1].reset()
			apart = prefixes[i] >= 0
		}
		if apart {
			add(prefixes[i])
		}
		add(i)
	}
}

// uneven says whether the workers, each taking the next chunk when it is free, would end too far apart.
func (p *plan) uneven() bool {
	var total, longest int
	var free [64]int // when each worker is free; beyond 64 of them, a chunk's share of the whole is small
	workers := min(p.workers, len(free))
	for i := range p.chunks {
		total += p.chunks[i].cost
		first := 0
		for w := range workers {
			if free[w] < free[first] {
				first = w
			}
		}
		free[first] += p.chunks[i].cost
		longest = max(longest, free[first])
	}
	return longest*workers*100 > total*(100+maxImbalance)
}

// cost is that of all chunks.
func (p *plan) cost() (sum int) {
	for i := range p.chunks {
		sum += p.chunks[i].cost
	}
	return sum
}

// members returns how many workers take a chunk of so many tokens together.
func (p *plan) members(tokens int) int {
	if !p.byRows {
		return 1
	}
	return max(1, min(p.workers, tokens/minMemberRows))
}

func (c *chunk) reset() { c.sequences, c.tokens, c.cost = c.sequences[:0], 0, 0 }

// resize returns s with n elements. It keeps the elements in its memory behind them.
func resize[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	return append(s[:cap(s)], make([]T, n-cap(s))...)
}
