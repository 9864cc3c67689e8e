package schedule

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// measured returns a queue of ten tokens a batch on a device that takes a millisecond a token, which it has learnt.
func measured(t *testing.T) (*Queue, *Device) {
	t.Helper()
	q := NewQueue(Limits{BatchTokens: 10, QueueTokens: 1 << 20, Requests: 100})
	d := NewDevice(DeviceConfig{Overlap: 1, Lead: 1})
	d.Attach(q, 1)
	push(t, q, &Request{Lengths: []int32{10}}, 0)
	var b Batch
	d.Next(&b, 0)
	d.Done(&b, 10*time.Millisecond)
	return q, d
}

func push(t *testing.T, q *Queue, r *Request, now time.Duration) {
	t.Helper()
	if err := q.Push(r, now); err != nil {
		t.Fatal(err)
	}
}

// ones are n sequences of a token.
func ones(n int) []int32 { return slices.Repeat([]int32{1}, n) }

// A request is refused if it can't make its deadline behind the waiting ones, with the time to try again.
func TestRefusesWhatIsTooLate(t *testing.T) {
	q, _ := measured(t)
	now := 10 * time.Millisecond
	push(t, q, &Request{Lengths: ones(50), Deadline: now + 40*time.Millisecond}, now) // nothing else waits: it is tried
	late := &Request{Lengths: ones(50), Deadline: now + 60*time.Millisecond}
	var over *OverloadError
	if err := q.Push(late, now); !errors.As(err, &over) || over.Max != 60 || over.Value < 100 || over.RetryAfter < 40*time.Millisecond {
		t.Errorf("100 ms of work with 60 ms left: %v", err)
	}
	if q.Tokens() != 50 || !late.Idle() {
		t.Errorf("%d tokens wait after a request of 50 was refused", q.Tokens())
	}
	push(t, q, &Request{Lengths: ones(50), Deadline: now + time.Second}, now)
	push(t, q, &Request{Lengths: ones(500)}, now)
}

// Once a part of a request has run, requests of its client that would go before it and make it miss its deadline are
// refused; those of others are not.
func TestProtectsWhatHasBegun(t *testing.T) {
	q, d := measured(t)
	now := 10 * time.Millisecond
	push(t, q, &Request{Client: "a", Lengths: ones(50), Deadline: now + 60*time.Millisecond}, now)
	var b Batch
	d.Next(&b, now)
	now += 10 * time.Millisecond
	d.Done(&b, now)
	small := func(client string) error {
		return q.Push(&Request{Client: client, Lengths: ones(20), Deadline: now + time.Second}, now)
	}
	if err := small("a"); !errors.Is(err, ErrOverloaded) {
		t.Errorf("20 ms of the same client, where 40 of 50 are left for one that has begun: %v", err)
	}
	if err := small("b"); err != nil {
		t.Errorf("20 ms of another client: %v", err)
	}
}

// A request that can no longer make its deadline is dropped before it begins; but the last one runs, so that a wrong
// estimate can be corrected.
func TestDropsWhatIsTooLate(t *testing.T) {
	q, d := measured(t)
	late, other := &Request{Lengths: ones(30), Deadline: time.Second}, &Request{Lengths: ones(40)}
	push(t, q, late, 0)
	push(t, q, other, 0)
	var b Batch
	now := 980 * time.Millisecond // 30 ms before it could be done
	if ok, _ := d.Next(&b, now); !ok || len(b.Expired) != 1 || b.Expired[0] != late || b.Spans[0].Request != other {
		t.Errorf("with 20 ms for 30 ms of work, ran %v, expired %v", b.Spans, b.Expired)
	}
	now += 10 * time.Millisecond
	d.Done(&b, now)
	q.Drop(other)
	last := &Request{Lengths: ones(30), Deadline: time.Second}
	push(t, q, last, now)
	if ok, _ := d.Next(&b, now); !ok || b.Spans[0].Request != last {
		t.Error("the only request is not run, since it is thought too late")
	}
}

// Attention counts: a sequence of 100 tokens is 200 of work where two tokens add a hundredth.
func TestWorkGrowsWithLength(t *testing.T) {
	q := NewQueue(Limits{BatchTokens: 1000, QueueTokens: 1 << 20, Requests: 10, Pair: 0.01})
	d := NewDevice(DeviceConfig{Overlap: 1, Lead: 1})
	d.Attach(q, 1)
	push(t, q, &Request{Lengths: []int32{100, 10}}, 0)
	var b Batch
	if d.Next(&b, 0); b.Tokens != 110 || b.Work != 211 {
		t.Errorf("sequences of 100 and 10 tokens are %d tokens and %g of work, want 110 and 211", b.Tokens, b.Work)
	}
}

// A cancelled request leaves the clocks as if it had not come.
func TestCancelledLeavesNoTrace(t *testing.T) {
	q := NewQueue(Limits{BatchTokens: 10, QueueTokens: 1 << 20, Requests: 10})
	push(t, q, &Request{Client: "a", Lengths: ones(100)}, 0)
	r := &Request{Client: "a", Lengths: ones(50)}
	push(t, q, r, 0)
	if q.requestClock.weights != 2 || q.clientClock.weights != 1 {
		t.Errorf("two requests of a client weigh %g, the client %g, want 2 and 1", q.requestClock.weights, q.clientClock.weights)
	}
	q.Drop(r)
	q.requestClock.advance(0) // which removes those that are done
	if q.requestClock.weights != 1 || q.clientClock.weights != 1 || q.requestClock.due.len() != 1 || q.named["a"].work != 100 || q.work != 100 {
		t.Errorf("weights %g and %g, %d tags, %g of work; want 1, 1, 1, 100",
			q.requestClock.weights, q.clientClock.weights, q.requestClock.due.len(), q.work)
	}
}

// When its weight changes, a client is ahead of its share by as much work as before.
func TestWeightChanges(t *testing.T) {
	q := NewQueue(Limits{BatchTokens: 10, QueueTokens: 1 << 20, Requests: 10})
	d := NewDevice(DeviceConfig{Overlap: 1, Lead: 1})
	d.Attach(q, 1)
	push(t, q, &Request{Client: "a", Lengths: ones(100)}, 0)
	push(t, q, &Request{Client: "b", Lengths: ones(100)}, 0)
	var b Batch
	d.Next(&b, 0)
	push(t, q, &Request{Client: "a", ClientWeight: 2, Lengths: ones(20)}, 0)
	if lead := q.named["a"].lead(q); lead != 5 || q.clientClock.weights != 3 {
		t.Errorf("the first of two took 10, and weighs 2 now: ahead by %g, weights %g, want 5 and 3", lead, q.clientClock.weights)
	}
}

// A model that had nothing to run for long gets no more than its share after that.
func TestIdleModelsSaveNothing(t *testing.T) {
	limits := Limits{BatchTokens: 10, QueueTokens: 1 << 20, Requests: 100}
	busy, idle := NewQueue(limits), NewQueue(limits)
	d := NewDevice(DeviceConfig{Overlap: 1, Lead: 1})
	d.Attach(busy, 1)
	d.Attach(idle, 1)
	push(t, busy, &Request{Lengths: ones(10_000)}, 0)
	now := time.Duration(0)
	var b Batch
	ran := map[*Queue]int{}
	run := func(batches int) {
		for range batches {
			d.Next(&b, now)
			ran[b.Queue]++
			now += 10 * time.Millisecond
			d.Done(&b, now)
		}
	}
	run(100)
	push(t, idle, &Request{Lengths: ones(10_000)}, now)
	clear(ran)
	if run(20); ran[idle] < 9 || ran[idle] > 11 {
		t.Errorf("a model that comes after 100 batches of another runs %d of the next 20, want 10", ran[idle])
	}
}
