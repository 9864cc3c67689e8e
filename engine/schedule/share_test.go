package schedule

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// asked is a request of a property test, on a device that does a unit of work in a nanosecond.
type asked struct {
	at, cancel   float64 // cancel 0: never
	client       string
	share, own   float64 // weights
	lengths      []int32
	work         float64
	gone, taken  float64 // when it was cancelled indeed, and the work that the device had taken of it by then
	shared, real float64 // when it is done by sharing, and on the device
}

// fluid is weighted sharing, slow and obvious: at every moment clients with work get parts by weight, and each one's
// requests parts of that. A cancelled request goes on only until it has had the work that the device took of it: that can't
// be undone. It sets shared.
func fluid(all []*asked) {
	left := map[*asked]float64{}
	now, next := 0., 0
	for next < len(all) || len(left) > 0 {
		share, own := map[string]float64{}, map[string]float64{}
		for r := range left {
			share[r.client] = r.share
			own[r.client] += r.own
		}
		sum := 0.
		for _, s := range share {
			sum += s
		}
		rate := func(r *asked) float64 { return r.share / sum * r.own / own[r.client] }
		step := math.Inf(1)
		if next < len(all) {
			step = all[next].at - now
		}
		for r, work := range left {
			step = min(step, work/rate(r))
			if r.gone > now {
				step = min(step, r.gone-now)
			} else if r.gone > 0 {
				step = min(step, max(work-r.work+r.taken, 0)/rate(r))
			}
		}
		now += step
		for r := range left {
			left[r] -= step * rate(r)
			if left[r] < 1e-6 || r.gone > 0 && r.gone <= now && left[r]-1e-6 < r.work-r.taken {
				r.shared = now
				delete(left, r)
			}
		}
		for ; next < len(all) && all[next].at <= now; next++ {
			left[all[next]] = all[next].work
		}
	}
}

// device runs the requests through a queue in batches of so many tokens, one after another. It sets real.
func device(t *rapid.T, all []*asked, batchTokens int) *Queue {
	q := NewQueue(Limits{BatchTokens: batchTokens, QueueTokens: 1 << 40, Requests: 1 << 20})
	d := NewDevice(DeviceConfig{Overlap: 1, Lead: 1})
	d.Attach(q, 1)
	requests := map[*Request]*asked{}
	var b Batch
	now, free, next, running := 0., 0., 0, false
	for next < len(all) || running || q.Tokens() > 0 {
		var gone []*Request
		at := math.Inf(1)
		if running {
			at = free
		}
		if next < len(all) {
			at = min(at, all[next].at)
		}
		for r, a := range requests {
			if a.cancel > 0 && r.state == queued {
				at = min(at, max(a.cancel, now))
			}
		}
		now = at
		clock := time.Duration(now)
		for r, a := range requests {
			if a.cancel > 0 && a.cancel <= now && r.state == queued {
				gone = append(gone, r)
			}
		}
		slices.SortFunc(gone, func(a, b *Request) int { return int(requests[a].at - requests[b].at) })
		for _, r := range gone {
			q.Drop(r)
			requests[r].gone, requests[r].taken = now, r.work-r.left
		}
		for ; next < len(all) && all[next].at <= now; next++ {
			a := all[next]
			r := &Request{Client: a.client, ClientWeight: a.share, Weight: a.own, Lengths: a.lengths}
			requests[r] = a
			if err := q.Push(r, clock); err != nil {
				t.Fatal(err)
			}
		}
		if running && free <= now {
			d.Done(&b, clock)
			running = false
			for _, span := range b.Spans {
				if span.Request.Done() {
					requests[span.Request].real = now
				}
			}
		}
		if !running {
			if ok, _ := d.Next(&b, clock); ok {
				running, free = true, now+b.Work
			}
		}
	}
	for _, c := range q.named {
		if c.work != 0 {
			t.Fatalf("at the end a client has %+v", c)
		}
	}
	return q
}

func drawAsked(t *rapid.T, clients int, equal bool) (all []*asked, batchTokens int) {
	batchTokens = rapid.IntRange(20, 200).Draw(t, "batch tokens")
	at := 0.
	length := rapid.Int32Range(1, 20).Draw(t, "length")
	shares := make([]float64, clients)
	for i := range shares {
		shares[i] = rapid.SampledFrom([]float64{1, 1, 0.5, 3}).Draw(t, "share")
	}
	for range rapid.IntRange(2, 60).Draw(t, "requests") {
		at += float64(rapid.SampledFrom([]int{0, 0, 1, 30, 300}).Draw(t, "pause"))
		i := rapid.IntRange(0, clients-1).Draw(t, "client")
		a := &asked{at: at, client: fmt.Sprint(i), share: shares[i], own: 1}
		n := 3
		if !equal {
			n = rapid.SampledFrom([]int{1, 2, 8, 60, 300}).Draw(t, "documents")
			a.own = rapid.SampledFrom([]float64{1, 1, 2}).Draw(t, "weight")
			if rapid.IntRange(0, 9).Draw(t, "cancels") == 0 {
				a.cancel = at + float64(rapid.IntRange(1, 2000).Draw(t, "after"))
			}
		}
		a.lengths = slices.Repeat([]int32{length}, n)
		a.work = float64(n) * float64(length)
		all = append(all, a)
	}
	return all, batchTokens
}

// No request is done later than by weighted sharing by more than two batches, a sequence, and two allowances. Of the other
// requests of its client: the work that doesn't count in their order. Of each other client: burst times its largest
// request, that request, and as much as the request itself, by which a client that is over the burst is put behind it.
func TestNoLaterThanSharing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, batch := drawAsked(t, rapid.IntRange(1, 5).Draw(t, "clients"), false)
		q := device(t, all, batch)
		fluid(all)
		largest := map[string]float64{}
		for _, a := range all {
			largest[a.client] = max(largest[a.client], float64(len(a.lengths)*int(a.lengths[0])))
		}
		for i, a := range all {
			bound := 2*max(float64(batch), float64(a.lengths[0])) + float64(a.lengths[0])
			for client, work := range largest {
				if client != a.client {
					bound += (burst+1)*work + a.work
				}
			}
			for j, other := range all {
				if j != i && other.client == a.client && other.at < a.real && other.shared > a.at { // they meet
					bound += other.work - q.counted(other.work)
				}
			}
			if late := a.real - a.shared; late > bound { // real is 0 where it was cancelled
				t.Fatalf("request %d of %d, of client %s, with %g of work: done at %g, by sharing at %g, %g later, want %g at most",
					i, len(all), a.client, a.work, a.real, a.shared, late, bound)
			}
		}
	})
}

// Equals of one client are served in the order in which they come.
func TestEqualsKeepTheirOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, batch := drawAsked(t, 1, true)
		device(t, all, batch)
		for i := range all[1:] {
			if all[i+1].real < all[i].real {
				t.Fatalf("request %d is done at %g, and %d at %g", i, all[i].real, i+1, all[i+1].real)
			}
		}
	})
}
