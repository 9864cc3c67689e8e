package schedule

import (
	"slices"
	"testing"
	"time"
)

// prompted is a request of n documents of 100 tokens behind a prompt of 70.
func prompted(n int) *Request {
	return &Request{Lengths: slices.Repeat([]int32{170}, n), Shared: slices.Repeat([]int32{70}, n)}
}

// drive runs batches until nothing waits, on a device that takes so long for a token, and returns the tokens of all and the
// largest number in one.
func drive(t *testing.T, q *Queue, d *Device, now, token time.Duration) (tokens, largest int, end time.Duration) {
	t.Helper()
	var b Batch
	for q.Tokens() > 0 {
		if ok, _ := d.Next(&b, now); !ok {
			t.Fatal("nothing runs, and tokens wait")
		}
		tokens, largest = tokens+b.Tokens, max(largest, b.Tokens)
		now += time.Duration(b.Tokens) * token
		d.Done(&b, now)
	}
	return tokens, largest, now
}

// TestSharedOnce counts the tokens of 32 documents of 100 tokens behind a prompt of 70: at most 0.65 of those of all
// sequences, alone and among others, within the limit of a batch, and on a device that is so slow that batches are small.
func TestSharedOnce(t *testing.T) {
	for _, test := range []struct {
		name              string
		limit             int
		token             time.Duration
		requests, largest int
	}{
		{"one batch", 4096, time.Microsecond, 1, 3270},
		{"four batches", 1024, time.Microsecond, 1, 970},
		{"a slow device", 4096, time.Millisecond, 1, 1070},
		{"among others", 4096, time.Microsecond, 40, 3270},
		{"among others, on a slow device", 4096, time.Millisecond, 40, 1070},
	} {
		q := NewQueue(Limits{BatchTokens: test.limit, QueueTokens: 1 << 30, Requests: 100, Pair: 0.001})
		d := NewDevice(DeviceConfig{Overlap: 1, Lead: 1})
		d.Attach(q, 1)
		now := time.Duration(0)
		for range 20 { // it learns its speed
			push(t, q, &Request{Lengths: []int32{100}}, now)
			_, _, now = drive(t, q, d, now, test.token)
		}
		var requests []*Request
		for range test.requests {
			r := prompted(32)
			requests = append(requests, r)
			push(t, q, r, now)
		}
		tokens, largest, _ := drive(t, q, d, now, test.token)
		all, saved := test.requests*32*170, 0
		for _, r := range requests {
			saved += r.Saved
		}
		if part := float64(tokens) / float64(all); part > 0.65 || tokens+saved != all {
			t.Errorf("%s: %d of %d tokens, %d saved: %.3f, want 0.65 at most", test.name, tokens, all, saved, part)
		}
		if largest != test.largest {
			t.Errorf("%s: the largest batch has %d tokens, want %d", test.name, largest, test.largest)
		}
	}
}

// TestSharedIsRepeated: the tokens of a prompt count again for each batch that a request is continued in, and a request that
// is dropped leaves nothing.
func TestSharedIsRepeated(t *testing.T) {
	q := NewQueue(Limits{BatchTokens: 400, QueueTokens: 1 << 20, Requests: 10, Pair: 0.01})
	d := NewDevice(DeviceConfig{Overlap: 1, Lead: 1})
	d.Attach(q, 1)
	r := prompted(10)
	push(t, q, r, 0)
	before := q.requestClock.due.first().key
	whole := q.workOf(70) + 10*(q.workOf(170)-q.workOf(70))
	if q.Tokens() != 1070 || r.work != whole || before != whole {
		t.Errorf("%d tokens and %g of work wait until %g, want 1070, %g", q.Tokens(), r.work, before, whole)
	}
	var b Batch
	d.Next(&b, 0)
	d.Done(&b, 1)
	if b.Tokens != 370 || b.Saved != 140 || q.Tokens() != 770 || r.left != r.work-b.Work || r.work != whole+q.workOf(70) {
		t.Errorf("of %d tokens, %d saved, %d wait, and %g of %g of work", b.Tokens, b.Saved, q.Tokens(), r.left, r.work)
	}
	if got := q.requestClock.due.first().key; got != whole+q.workOf(70) {
		t.Errorf("done at %g by sharing, want %g", got, whole+q.workOf(70))
	}
	q.Drop(r)
	if q.Tokens() != 0 || q.work != 0 || q.named[""].work != 0 || q.named[""].tokens != 0 {
		t.Errorf("%d tokens and %g of work wait at the end", q.Tokens(), q.work)
	}
}

// TestPartsAreLarge: a part of a request that is not much larger than its prompt doesn't fill another's batch.
func TestPartsAreLarge(t *testing.T) {
	for _, test := range []struct{ prompt, batches int32 }{{0, 2}, {10, 2}, {12, 1}, {70, 1}} {
		q := NewQueue(Limits{BatchTokens: 400, QueueTokens: 1 << 20, Requests: 10})
		d := NewDevice(DeviceConfig{Overlap: 1, Lead: 1})
		d.Attach(q, 1)
		push(t, q, &Request{Lengths: []int32{150}}, 0)
		r := &Request{Lengths: slices.Repeat([]int32{100}, 20), Shared: slices.Repeat([]int32{test.prompt}, 20)}
		push(t, q, r, 0)
		var b Batch
		if d.Next(&b, 0); len(b.Spans) != int(test.batches) {
			t.Errorf("with a prompt of %d tokens, the first batch has parts of %d requests, want %d", test.prompt, len(b.Spans), test.batches)
		}
	}
}
