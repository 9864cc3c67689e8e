package schedule

// heap is a binary heap of values by key, least first; equal keys keep the order of push.
type heap[T any] struct {
	items []item[T]
	next  uint64
	none  int // the place of items without an owner
}

type item[T any] struct {
	key   float64
	order uint64
	value T
	at    *int // where the owner keeps the item's place, from 1; 0: it is in no heap
}

func (h *heap[T]) len() int { return len(h.items) }

func (h *heap[T]) first() *item[T] { return &h.items[0] }

// set pushes a value, or gives it another key if at says that it has a place.
func (h *heap[T]) set(key float64, value T, at *int) {
	if *at == 0 {
		h.next++
		h.items = append(h.items, item[T]{key, h.next, value, at})
		*at = len(h.items)
	}
	h.items[*at-1].key = key
	h.settle(*at - 1)
}

// remove takes out the item at a place, from 1.
func (h *heap[T]) remove(place int) item[T] {
	removed, last := h.items[place-1], len(h.items)-1
	h.items[place-1], h.items[last] = h.items[last], item[T]{}
	h.items = h.items[:last]
	*removed.at = 0
	if place <= last {
		h.settle(place - 1)
	}
	return removed
}

// settle moves the item at index i up or down to where it belongs.
func (h *heap[T]) settle(i int) {
	moved := h.items[i]
	for parent := (i - 1) / 2; i > 0 && moved.before(&h.items[parent]); parent = (i - 1) / 2 {
		h.put(i, h.items[parent])
		i = parent
	}
	for child := 2*i + 1; child < len(h.items); child = 2*i + 1 {
		if child+1 < len(h.items) && h.items[child+1].before(&h.items[child]) {
			child++
		}
		if moved.before(&h.items[child]) {
			break
		}
		h.put(i, h.items[child])
		i = child
	}
	h.put(i, moved)
}

func (a *item[T]) before(b *item[T]) bool {
	return a.key < b.key || a.key == b.key && a.order < b.order
}

func (h *heap[T]) put(i int, moved item[T]) { h.items[i], *moved.at = moved, i+1 }
