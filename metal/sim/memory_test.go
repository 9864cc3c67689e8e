package sim

import (
	"math/rand/v2"
	"testing"
)

// TestArena takes and gives at random: ranges that are out never overlap and have a page between them, and all come
// back.
func TestArena(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	a := newArena(1<<30, 1<<24)
	whole := a.available[0]
	var out []span
	for range 20000 {
		if len(out) > 0 && random.IntN(2) == 0 {
			i := random.IntN(len(out))
			a.free(out[i])
			out[i] = out[len(out)-1]
			out = out[:len(out)-1]
			continue
		}
		s, ok := a.alloc(uint64(1 + random.IntN(1<<18)))
		if !ok {
			continue
		}
		for _, other := range out {
			if s.start < other.end+a.page && other.start < s.end+a.page {
				t.Fatalf("%x and %x are out at once", s, other)
			}
		}
		if s.start < whole.start || s.end > whole.end || s.start%a.page != 0 {
			t.Fatalf("%x, the region is %x", s, whole)
		}
		out = append(out, s)
	}
	for _, s := range out {
		a.free(s)
	}
	if len(a.available) != 1 || a.available[0] != whole {
		t.Errorf("%x is free in the end, want %x", a.available, whole)
	}
	if _, ok := a.alloc(1 << 24); ok {
		t.Error("took more than there is")
	}
}
