package simulate

import (
	"slices"
	"sort"
	"time"

	"github.com/metalrank/metalrank/engine/schedule"
)

// fifo is the common part of the policies that ours is compared with: queues in the order of arrival, one a model; models
// take turns by batches. They have the same limits, so that all policies refuse alike, and may have one batch packed while
// one runs.
type fifo struct {
	lines []line
	// By device: the models that it runs, which of them is asked first, and how many batches it has.
	models    [][]int
	turn, has []int
	// ready says whether a line may make a batch, and if not, when; 0: when more requests come.
	ready func(l *line, now time.Duration) (bool, time.Duration)
	// whole keeps a request together if it fits a batch.
	whole bool
	// shortest keeps entries in the order of their waiting tokens, and not of arrival.
	shortest bool
	// drops removes the waiting sequences of clients that have gone.
	drops bool
}

// overlap is how many batches a device has under these policies: the running one and the next.
const overlap = 2

// line is the requests of one model.
type line struct {
	limits   schedule.Limits
	entries  []entry
	first    int // of the entries
	tokens   int // that wait
	requests int
}

// entry is a request, from its sequence next on.
type entry struct {
	request *Request
	id      uint64 // the request's, for Drop to find the entry
	next    int
	tokens  int // that wait
}

// FIFO batches sequences of all requests in the order of arrival, up to the limit of tokens, and never waits while the
// device is idle. So does text-embeddings-inference 1.9 (core/src/queue.rs), which drops the entries of clients that have
// gone.
func FIFO(c *Config) Policy {
	p := newFIFO(c)
	p.drops = true
	p.ready = func(*line, time.Duration) (bool, time.Duration) { return true, 0 }
	return p
}

// Window is dynamic batching in a fixed window: whole requests are joined in the order of arrival until the first has
// waited for the window, or there are tokens for a batch.
func Window(window time.Duration) NewPolicy {
	return func(c *Config) Policy {
		p := newFIFO(c)
		p.whole = true
		p.ready = func(l *line, now time.Duration) (bool, time.Duration) {
			due := l.entries[l.first].request.At + window
			return due <= now || l.tokens >= l.limits.BatchTokens, due
		}
		return p
	}
}

// Shortest serves the request first that has the least work left (shortest remaining processing time): no policy has a
// shorter mean, and large ones may wait for ever.
func Shortest(c *Config) Policy {
	p := newFIFO(c)
	p.drops, p.shortest = true, true
	p.ready = func(*line, time.Duration) (bool, time.Duration) { return true, 0 }
	return p
}

func newFIFO(c *Config) *fifo {
	n := len(c.Devices)
	p := &fifo{models: make([][]int, n), turn: make([]int, n), has: make([]int, n)}
	for i, m := range c.Models {
		p.lines = append(p.lines, line{limits: m.Limits})
		for _, d := range m.Devices {
			p.models[d] = append(p.models[d], i)
		}
	}
	return p
}

func (p *fifo) Push(r *Request, _ time.Duration) error {
	l := &p.lines[r.Model]
	if l.requests >= l.limits.Requests || l.tokens > 0 && l.tokens+r.tokens > l.limits.QueueTokens {
		return schedule.ErrOverloaded
	}
	l.requests++
	l.tokens += r.tokens
	at := len(l.entries)
	if p.shortest {
		at = l.first + sort.Search(at-l.first, func(i int) bool { return l.entries[l.first+i].tokens > r.tokens })
	}
	l.entries = slices.Insert(l.entries, at, entry{request: r, id: r.id, tokens: r.tokens})
	return nil
}

func (p *fifo) Leave(r *Request) { p.lines[r.Model].requests-- }

func (p *fifo) Drop(r *Request) bool {
	if !p.drops {
		return false
	}
	l := &p.lines[r.Model]
	if p.shortest {
		if i := slices.IndexFunc(l.entries, func(e entry) bool { return e.request == r }); i >= 0 {
			l.tokens -= l.entries[i].tokens
			l.entries = slices.Delete(l.entries, i, i+1)
		}
		l.skip()
		return true
	}
	// They are in the order of arrival, as ids are.
	i := l.first + sort.Search(len(l.entries)-l.first, func(i int) bool { return l.entries[l.first+i].id >= r.id })
	if i < len(l.entries) && l.entries[i].id == r.id {
		e := &l.entries[i]
		l.tokens -= e.tokens
		e.request, e.tokens = nil, 0
	}
	l.skip()
	return true
}

// skip goes past entries that were dropped or taken whole.
func (l *line) skip() {
	for l.first < len(l.entries) && l.entries[l.first].request == nil {
		l.first++
	}
	if l.first == len(l.entries) || l.first > len(l.entries)/2 {
		l.entries = append(l.entries[:0], l.entries[l.first:]...)
		l.first = 0
	}
}

func (p *fifo) Next(device int, b *schedule.Batch, now time.Duration) (bool, time.Duration) {
	*b = schedule.Batch{Spans: b.Spans[:0]}
	if p.has[device] >= overlap {
		return false, 0
	}
	var again time.Duration
	models := p.models[device]
	for i := range models {
		at := (p.turn[device] + i) % len(models)
		l := &p.lines[models[at]]
		if l.tokens == 0 {
			continue
		}
		if ok, due := p.ready(l, now); !ok {
			if due > now && (again == 0 || due < again) {
				again = due
			}
			continue
		}
		for l.tokens > 0 && l.take(b, p.whole) {
			l.skip()
		}
		p.turn[device] = at + 1
		p.has[device]++
		return true, 0
	}
	return false, again
}

// take moves as much of the first entry into b as fits, and says whether that was all of it.
func (l *line) take(b *schedule.Batch, whole bool) bool {
	e := &l.entries[l.first]
	limit := l.limits.BatchTokens
	if whole && b.Tokens > 0 && b.Tokens+e.tokens > limit {
		return false
	}
	lengths, from := e.request.Lengths, e.next
	for e.next < len(lengths) && (b.Tokens == 0 || b.Tokens+int(lengths[e.next]) <= limit) {
		n := int(lengths[e.next])
		b.Tokens += n
		e.tokens -= n
		l.tokens -= n
		e.next++
	}
	if e.next > from {
		b.Spans = append(b.Spans, schedule.Span{Request: &e.request.Request, From: from, To: e.next})
		b.Sequences += e.next - from
	}
	if e.next < len(lengths) {
		return false
	}
	e.request = nil
	return true
}

func (p *fifo) Done(device int, _ *schedule.Batch, _ time.Duration) { p.has[device]-- }
