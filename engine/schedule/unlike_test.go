package schedule

import (
	"errors"
	"testing"
	"time"
)

// unlike returns a device that has run batches of a model of a microsecond a token, and one of 400 times the cost that hasn't run.
func unlike(t *testing.T, limits Limits) (d *Device, cheap, costly *Queue, now time.Duration) {
	t.Helper()
	d = NewDevice(DeviceConfig{Overlap: 1, Lead: 1})
	limits.Unit = 1e6
	cheap = NewQueue(limits)
	limits.Unit = 400e6
	costly = NewQueue(limits)
	d.Attach(cheap, 1)
	for n := int32(1000); n <= 4000; n += 1000 {
		push(t, cheap, &Request{Lengths: ones(int(n))}, now)
		_, _, now = drive(t, cheap, d, now, time.Microsecond)
	}
	d.Attach(costly, 1)
	return d, cheap, costly, now
}

// A model is expected to take as long for its first batches as others for as much arithmetic: so its first batch is no longer
// than its others, and is charged before it is done.
func TestFirstBatchOfAnotherModel(t *testing.T) {
	limits := Limits{BatchTokens: 4096, QueueTokens: 1 << 40, Requests: 10}
	d, _, costly, now := unlike(t, limits)
	push(t, costly, &Request{Lengths: ones(10_000)}, now)
	var b Batch
	if d.Next(&b, now); b.Queue != costly || b.Tokens != 625 || time.Duration(b.charged).Round(time.Microsecond) != 250*time.Millisecond {
		t.Errorf("the first batch has %d tokens, and is expected to take %v; want 625 and 250ms", b.Tokens, time.Duration(b.charged))
	}
	now += time.Second // four times as long as that: from now on, this is its time
	d.Done(&b, now)
	if d.Next(&b, now); b.Queue != costly || b.Tokens != leastTokens {
		t.Errorf("the second batch has %d tokens, want %d", b.Tokens, leastTokens)
	}
	now += time.Second
	d.Done(&b, now)
	d.Detach(costly)
	limits.Unit = 0
	unknown := NewQueue(limits)
	d.Attach(unknown, 1)
	push(t, unknown, &Request{Lengths: ones(10_000)}, now)
	if d.Next(&b, now); b.Queue != unknown || b.Tokens != 4096 {
		t.Errorf("the first batch of a model without a known cost has %d tokens, want 4096", b.Tokens)
	}
}

// A queue takes as much work as its devices do in a time, as they are shared: as many tokens as it may where that is less.
func TestQueueTime(t *testing.T) {
	fill := func(q *Queue, now time.Duration) (tokens int, over *OverloadError) {
		for {
			if err := q.Push(&Request{Lengths: ones(100)}, now); err != nil {
				if !errors.As(err, &over) {
					t.Fatal(err)
				}
				return q.Tokens(), over
			}
		}
	}
	for _, test := range []struct {
		limits        Limits
		cheap, costly int // tokens
		limit         string
		most          int
	}{
		{Limits{}, 1 << 20, 75_000, "milliseconds of waiting work", 60_000}, // a minute, of which it gets half
		{Limits{QueueTime: time.Second}, 1_000_000, 1250, "milliseconds of waiting work", 1000},
		{Limits{QueueTime: time.Hour}, 1 << 20, 1 << 20, "QueueTokens", 1 << 20},
	} {
		test.limits.BatchTokens, test.limits.QueueTokens, test.limits.Requests = 4096, 1<<20, 10
		_, cheap, costly, now := unlike(t, test.limits)
		if tokens, _ := fill(cheap, now); tokens < test.cheap-100 || tokens > test.cheap {
			t.Errorf("%v: %d tokens of the cheap model may wait, want %d", test.limits.QueueTime, tokens, test.cheap)
		}
		if most := time.Duration(test.cheap) * time.Microsecond; cheap.Wait() < most-time.Millisecond || cheap.Wait() > most {
			t.Errorf("they take %v", cheap.Wait())
		}
		tokens, over := fill(costly, now)
		if tokens < test.costly-100 || tokens > test.costly {
			t.Errorf("%v: %d tokens of the costly model may wait, want %d", test.limits.QueueTime, tokens, test.costly)
		}
		if over.Limit != test.limit || over.Max < test.most-1 || over.Max > test.most || over.Value <= over.Max || over.RetryAfter <= 0 {
			t.Errorf("refused with %+v", over)
		}
		if costly.Full("") != nil && tokens+1 <= test.costly {
			t.Errorf("%v: full, with %d of %d tokens", test.limits.QueueTime, tokens, test.costly)
		}
	}
}

// Alone a model has no limit of time that it wasn't given. Batches' time is that of its devices together.
func TestQueueTimeAlone(t *testing.T) {
	q := NewQueue(Limits{BatchTokens: 100, QueueTokens: 1 << 40, Requests: 10})
	if q.Wait() != 0 || q.BatchTime() != 0 {
		t.Errorf("before it ran, a wait of %v, and a batch of %v", q.Wait(), q.BatchTime())
	}
	d, now := timedDevice(t, q)
	push(t, q, &Request{Lengths: ones(1000)}, now)
	push(t, q, &Request{Lengths: ones(10_000_000)}, now)
	if q.Wait() != 10_001*time.Second || q.BatchTime() != 100*time.Millisecond {
		t.Errorf("a wait of %v, and a batch of %v", q.Wait(), q.BatchTime())
	}
	other := NewQueue(q.Limits())
	d.Attach(other, 1)
	if q.Full("") == nil || other.Full("") != nil {
		t.Error("of two models, one with hours of work is not full, or the other is")
	}
	d.Detach(other)
	if err := q.Full(""); err != nil {
		t.Errorf("alone again: %v", err)
	}
}
