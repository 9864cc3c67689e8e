package simulate

import (
	"container/heap"
	"time"
)

// event is a future event of a run.
type event struct {
	at      time.Duration
	order   uint64 // among events at the same time
	kind    kind
	device  int      // awake
	batch   *batch   // done
	request *Request // cancelled
	id      uint64   // the request's, when the event was made
}

type kind uint8

const (
	done      kind = iota // a batch has run
	awake                 // a device's policy wants to be asked
	cancelled             // a client gives up
)

// events is a heap of them, next first.
type events struct {
	heap  []*event
	free  []*event
	order uint64
}

// new returns e in memory of its own.
func (h *events) new(e event) *event {
	h.order++
	e.order = h.order
	if n := len(h.free); n > 0 {
		p := h.free[n-1]
		h.free = h.free[:n-1]
		*p = e
		return p
	}
	p := new(event)
	*p = e
	return p
}

// next takes the next event out.
func (h *events) next() event {
	p := heap.Pop(h).(*event) //nolint:errcheck,forcetypeassert // there is nothing else
	e := *p
	*p = event{}
	h.free = append(h.free, p)
	return e
}

// Len implements heap.Interface.
func (h *events) Len() int { return len(h.heap) }

// Less implements heap.Interface.
func (h *events) Less(i, j int) bool {
	a, b := h.heap[i], h.heap[j]
	return a.at < b.at || a.at == b.at && a.order < b.order
}

// Swap implements heap.Interface.
func (h *events) Swap(i, j int) { h.heap[i], h.heap[j] = h.heap[j], h.heap[i] }

// Push implements heap.Interface.
func (h *events) Push(e any) { h.heap = append(h.heap, e.(*event)) } //nolint:errcheck,forcetypeassert // there is nothing else

// Pop implements heap.Interface.
func (h *events) Pop() any {
	last := len(h.heap) - 1
	e := h.heap[last]
	h.heap = h.heap[:last]
	return e
}
