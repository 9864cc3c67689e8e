package schedule

// heap is a binary heap of values by key, least first; equal keys keep the order of push.
type heap[T any] struct {
	items []item[T]
	next  uint64
}

type item[T any] struct {
	key   float64
	order uint64
	value T
	at    *int // where the owner keeps the item's place, from 1; 0: it is in no heap. nil: the owner needs none
}

func (h *heap[T]) len() int { return len(h.items) }

func (h *heap[T]) first() *item[T] { return &h.items[0] }

func (h *heap[T]) push(key float64, value T, at *int) {
	h.next++
	h.items = append(h.items, item[T]{key, h.next, value, at})
	h.up(len(h.items) - 1)
}

// key returns that of the item at a place, from 1.
func (h *heap[T]) key(place int) float64 { return h.items[place-1].key }

// forget leaves an item in the heap, without an owner.
func (h *heap[T]) forget(at *int) {
	if *at > 0 {
		h.items[*at-1].at = nil
		*at = 0
	}
}

func (h *heap[T]) clear() {
	for h.len() > 0 {
		h.remove(h.len())
	}
}

// change gives the item at a place, from 1, another key.
func (h *heap[T]) change(place int, key float64) {
	h.items[place-1].key = key
	h.down(h.up(place - 1))
}

// remove takes out the item at a place, from 1.
func (h *heap[T]) remove(place int) item[T] {
	i, last := place-1, len(h.items)-1
	h.swap(i, last)
	removed := h.items[last]
	h.items[last] = item[T]{}
	h.items = h.items[:last]
	if removed.at != nil {
		*removed.at = 0
	}
	if i < last {
		h.down(h.up(i))
	}
	return removed
}

func (h *heap[T]) up(i int) int {
	for parent := (i - 1) / 2; i > 0 && h.less(i, parent); parent = (i - 1) / 2 {
		h.swap(i, parent)
		i = parent
	}
	h.settle(i)
	return i
}

func (h *heap[T]) down(i int) {
	for child := 2*i + 1; child < len(h.items); child = 2*i + 1 {
		if child+1 < len(h.items) && h.less(child+1, child) {
			child++
		}
		if !h.less(child, i) {
			break
		}
		h.swap(i, child)
		i = child
	}
}

func (h *heap[T]) less(i, j int) bool {
	a, b := &h.items[i], &h.items[j]
	return a.key < b.key || a.key == b.key && a.order < b.order
}

func (h *heap[T]) swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.settle(i)
	h.settle(j)
}

func (h *heap[T]) settle(i int) {
	if at := h.items[i].at; at != nil {
		*at = i + 1
	}
}
