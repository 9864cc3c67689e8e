package darwin

import (
	"testing"

	"github.com/metalrank/metalrank/metal"
)

// forwardPass is as long as a six-layer encoder's list, with as many buffers.
const forwardPass = 60

func forwardPassList(t testing.TB, d *device) *metal.CommandList {
	t.Helper()
	p := newPipeline(t, d, "k")
	list := &metal.CommandList{Arguments: make([]byte, forwardPass*64)}
	var buffers []metal.Buffer
	for range 4 * forwardPass {
		buffers = append(buffers, newBuffer(t, d, 16))
	}
	for i := range forwardPass {
		list.Commands = append(list.Commands, listOf(1, p, buffers[4*i:4*i+4]...).Commands...)
		list.Commands[i].Barrier = i%2 == 1
		list.Commands[i].ArgumentsOffset, list.Commands[i].ArgumentsSize = uint32(64*i), 64
		list.Commands[i].ArgumentsIndex = 4
	}
	return list
}

// TestSubmitCosts: on this side of Metal, a forward pass costs one call into C and no allocation.
func TestSubmitCosts(t *testing.T) {
	f := newFake(t)
	d := f.open("")
	list := forwardPassList(t, d)
	f.atOnce = true
	const runs = 100
	allocations := testing.AllocsPerRun(runs, func() {
		p, err := d.Submit(list)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 {
		t.Errorf("a list of %d dispatches allocates %v times, want 0", forwardPass, allocations)
	}
	if calls := f.count("submit"); calls != runs+1 { // AllocsPerRun runs once more, to warm up
		t.Errorf("%d lists took %d calls into C, want one each", runs+1, calls)
	}
}

// BenchmarkSubmit times the Go side alone, over a native that does nothing: no Metal is in it.
func BenchmarkSubmit(b *testing.B) {
	f := newFake(b)
	d := f.open("")
	list := forwardPassList(b, d)
	f.atOnce = true
	b.ReportAllocs()
	for b.Loop() {
		p, err := d.Submit(list)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
