package gpu

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/metal"
)

func batchOf(lengths ...int) *backend.Batch {
	var b backend.Batch
	for i, n := range lengths {
		ids := make([]int32, n)
		for at := range ids {
			ids[at] = int32(100*i + at)
		}
		b.Append(ids, make([]int32, n))
	}
	return &b
}

// TestHalves: the halves of a batch have all of its sequences, in order, and about half of its tokens.
func TestHalves(t *testing.T) {
	for _, c := range []struct{ lengths, first []int }{
		{[]int{5}, []int{5}},
		{[]int{5, 7}, []int{5}},
		{[]int{1, 1, 1, 9}, []int{1, 1, 1}},
		{[]int{9, 1, 1, 1}, []int{9}},
		{[]int{2, 2, 2, 2, 2}, []int{2, 2, 2}},
	} {
		parts := halves(batchOf(c.lengths...))
		want := []*backend.Batch{batchOf(c.first...)}
		if len(c.first) < len(c.lengths) {
			var rest backend.Batch
			whole := batchOf(c.lengths...)
			for i := len(c.first); i < len(c.lengths); i++ {
				begin, end := whole.Starts[i], whole.Starts[i+1]
				rest.Append(whole.IDs[begin:end], whole.Types[begin:end])
			}
			want = append(want, &rest)
		}
		if diff := cmp.Diff(want, parts); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.lengths, diff)
		}
	}
}

// TestPaceLearns: the rate moves to that of the passes, but not by small ones or by a device without a clock. A failure halves it.
func TestPaceLearns(t *testing.T) {
	p := newPace(&metal.Info{Cores: 10})
	first := p.limit()
	if want := 10 * firstRate * longestList.Seconds(); first != want {
		t.Errorf("at first %g operations in a list, want %g", first, want)
	}
	p.add(leastTimed/2, time.Second)
	p.add(1e12, 0)
	if p.limit() != first {
		t.Errorf("a pass that tells nothing changes the limit to %g", p.limit())
	}
	for range 40 {
		p.add(1e12, time.Second)
	}
	if got, want := p.limit(), 1e12*longestList.Seconds(); !(got > 0.999*want && got < 1.001*want) {
		t.Errorf("after passes at 1 TFLOP/s %g operations in a list, want %g", got, want)
	}
	before := p.limit()
	if p.failed(); p.limit() != before/2 {
		t.Errorf("after a failure %g operations in a list, want half of %g", p.limit(), before)
	}
	if newPace(&metal.Info{Simulated: true}).limit() != 0 {
		t.Error("lists of a simulated device are cut")
	}
	if got, want := newPace(&metal.Info{}).limit(), newPace(&metal.Info{Cores: unknownCores}).limit(); got != want {
		t.Errorf("without a number of cores %g, want %g", got, want)
	}
}

// TestPlanCounts: the arithmetic of a pass, by which its time corrects the rate, is that of its sequences, and not of the longest
// that the model takes; only what exceeds the limit is cut.
func TestPlanCounts(t *testing.T) {
	shape := cost.BERT(24, 1024, 4096, 1)
	b := &Backend{costs: shape, perToken: perToken(shape, 8192), session: &Session{pace: newPace(&metal.Info{Cores: 8})}}
	for _, c := range []struct {
		lengths []int
		cut     bool
	}{{[]int{64}, false}, {slices.Repeat([]int{16}, 64), true}, {[]int{8192}, true}} {
		want, _ := cost.Total(cost.Pass(shape, c.lengths, cost.Format{}))
		if c.cut != (want > b.session.pace.limit()) {
			t.Fatalf("%d sequences take %g, the limit is %g", len(c.lengths), want, b.session.pace.limit())
		}
		var s slot
		if s.plan(b, batchOf(c.lengths...)); s.flops != want || (s.operations != nil) != c.cut {
			t.Errorf("%d sequences: %g operations, cut %v, want %g, %v", len(c.lengths), s.flops, s.operations != nil, want, c.cut)
		}
	}
}

// endless is work that does not end before ctx does.
type endless struct{ err func(context.Context) error }

func (e endless) Wait(ctx context.Context) (metal.Timing, error) {
	<-ctx.Done()
	return metal.Timing{}, e.err(ctx)
}

// TestWaitKeepsLists: where ctx ends first, the lists that still run stay the slot's, whether the driver returns ctx's error or
// its cause.
func TestWaitKeepsLists(t *testing.T) {
	for name, err := range map[string]func(context.Context) error{"error": context.Context.Err, "cause": context.Cause} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("the caller leaves"))
		s := &slot{pending: []metal.Pending{endless{err}, endless{err}}}
		if got := s.wait(ctx, 0); !errors.Is(got, err(ctx)) || len(s.pending) != 2 {
			t.Errorf("%s: error %v, %d lists are waited for later, want %v and 2", name, got, len(s.pending), err(ctx))
		}
	}
}

// ended is work that has ended.
type ended struct{ elapsed time.Duration }

func (e ended) Wait(context.Context) (metal.Timing, error) {
	return metal.Timing{End: e.elapsed}, nil
}

// TestWaitLeavesLists: of the lists of a pass, the device keeps as many as it should, the last ones; the others' time counts.
func TestWaitLeavesLists(t *testing.T) {
	s := &slot{pending: []metal.Pending{ended{time.Second}, ended{2 * time.Second}, ended{3 * time.Second}}}
	if err := s.wait(t.Context(), listsAhead-1); err != nil || len(s.pending) != 1 || s.pending[0] != (ended{3 * time.Second}) || s.elapsed != 3*time.Second {
		t.Errorf("%v: %v are left, after %v", err, s.pending, s.elapsed)
	}
}
