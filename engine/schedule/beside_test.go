package schedule

import (
	"slices"
	"testing"
	"time"
)

// timedDevice returns a device that has run a batch of 100 tokens in 100 ms.
func timedDevice(t *testing.T, q *Queue) (d *Device, now time.Duration) {
	t.Helper()
	d = NewDevice(DefaultDevice())
	d.Attach(q, 1)
	var b Batch
	pushed(t, q, 0, 100)
	if ok, _ := d.Next(&b, 0); !ok || b.Tokens != 100 {
		t.Fatalf("the first batch is %+v", b)
	}
	d.Done(&b, 100*time.Millisecond)
	return d, 100 * time.Millisecond
}

func pushed(t *testing.T, q *Queue, now time.Duration, lengths ...int32) *Request {
	t.Helper()
	r := &Request{Lengths: lengths}
	if err := q.Push(r, now); err != nil {
		t.Fatal(err)
	}
	return r
}

// While a long batch runs, short sequences run beside it in the order of service, one batch at a time; other long ones wait
// for its end, and keep their places.
func TestShortSequencesRunBesideALongOne(t *testing.T) {
	q := NewQueue(Limits{BatchTokens: 100, QueueTokens: 1 << 20, Requests: 100})
	d, now := timedDevice(t, q)
	var long, beside, none Batch
	first := pushed(t, q, now, 1000)
	if ok, _ := d.Next(&long, now); !ok || long.Beside {
		t.Fatalf("the long batch is %+v", long)
	}
	if ok, again := d.Next(&beside, now); ok || again != 0 {
		t.Fatalf("beside the long batch runs %+v; to be asked at %v", beside, again)
	}
	second := pushed(t, q, now, 1000)
	mixed := pushed(t, q, now, 40, 2000, 30)
	var short []*Request
	for range 10 {
		short = append(short, pushed(t, q, now, 60, 35))
	}
	busy := time.Duration(0)
	for {
		ok, again := d.Next(&beside, now)
		if !ok {
			if again != 0 {
				t.Errorf("to be asked again at %v", again)
			}
			break
		}
		if !beside.Beside {
			t.Fatalf("beside the long batch runs %+v", beside)
		}
		for _, s := range beside.Spans {
			if r := s.Request; r != mixed && !slices.Contains(short, r) || r == mixed && s.To != 1 {
				t.Errorf("beside the long batch run sequences %d to %d of %v", s.From, s.To, r.Lengths)
			}
		}
		if ok, _ := d.Next(&none, now); ok {
			t.Fatalf("a third batch: %+v", none)
		}
		now += 110 * time.Millisecond
		busy += d.Done(&beside, now)
		now += 10 * time.Millisecond
	}
	if slices.ContainsFunc(short, func(r *Request) bool { return !r.Done() }) || second.Batches != 0 || mixed.Batches != 1 || q.Tokens() != 1000+2030 {
		t.Errorf("%d batches of the second long request, %d of the mixed one, %d tokens wait", second.Batches, mixed.Batches, q.Tokens())
	}
	busy += d.Done(&long, now)
	if want := now - 100*time.Millisecond; busy != want || !first.Done() {
		t.Errorf("batches took %v together, want %v", busy, want)
	}
	// Nothing was learnt: a token takes a millisecond.
	if full := time.Duration(d.attachments[0].fullBatch()); full.Round(time.Microsecond) != 100*time.Millisecond {
		t.Errorf("a full batch is expected to take %v", full)
	}
	for _, want := range []*Request{second, mixed} {
		if ok, _ := d.Next(&long, now); !ok || long.Beside || long.Spans[0].Request != want {
			t.Fatalf("next is %+v, want %v", long, want.Lengths)
		}
		now += time.Second
		d.Done(&long, now)
	}
}

// A batch that was given up says nothing about the time of others, and models may run beside each other.
func TestAbortedBatch(t *testing.T) {
	q, other := NewQueue(Limits{BatchTokens: 100, QueueTokens: 1 << 20, Requests: 100}), NewQueue(Limits{BatchTokens: 100, QueueTokens: 1 << 20, Requests: 100})
	d, now := timedDevice(t, q)
	d.Attach(other, 1)
	want := d.attachments[0].fullBatch()
	var long, beside Batch
	r := pushed(t, q, now, 1000)
	if ok, _ := d.Next(&long, now); !ok {
		t.Fatal("no batch")
	}
	small := pushed(t, other, now, 50)
	if ok, _ := d.Next(&beside, now); !ok || !beside.Beside || beside.Spans[0].Request != small {
		t.Fatalf("beside a long batch of another model: %v, %+v", ok, beside)
	}
	d.Done(&beside, now)
	q.Drop(r)
	long.Aborted = true
	d.Done(&long, now+time.Millisecond)
	if got := d.attachments[0].fullBatch(); got != want || !r.Idle() {
		t.Errorf("a full batch is expected to take %v, before %v", got, want)
	}
}
