package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// TestNobodyAsks wants no allocations: neither a nil recorder nor one that does not record gives a timer, and a nil timer
// takes everything.
func TestNobodyAsks(t *testing.T) {
	for _, r := range []*Recorder{nil, {}} {
		allocated := testing.AllocsPerRun(100, func() {
			request, batch := r.Request(), r.Batch()
			if request != nil || batch != nil || request.ID() != 0 {
				t.Error("something is recorded")
			}
			request.Tokenised()
			request.Ran(time.Time{}, time.Time{}, time.Time{}, 0, 0)
			request.End(1, 2, 0)
			batch.Of(3)
			batch.Packed()
			batch.Encoded()
			batch.Computed()
			batch.End("", 0, time.Time{}, 0, 0, 0)
		})
		if allocated != 0 {
			t.Errorf("%g allocations", allocated)
		}
	}
}

// TestRecord records from several goroutines at once: whole requests and batches alone, and no recording beside another.
func TestRecord(t *testing.T) {
	var r Recorder
	ctx, stop := context.WithCancel(t.Context())
	traces := make(chan *Trace)
	go func() {
		recorded, err := r.Record(ctx, time.Hour)
		if err != nil {
			t.Error(err)
		}
		traces <- recorded
	}()
	for r.recording() == nil {
		time.Sleep(time.Millisecond)
	}
	if _, err := r.Record(ctx, time.Hour); !errors.Is(err, ErrBusy) {
		t.Errorf("a second recording: %v", err)
	}
	const goroutines, each = 8, 50
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for i := range each {
				request := r.Request()
				request.Tokenised()
				now := time.Now()
				batch := r.Batch()
				batch.Of(request.ID())
				batch.Packed()
				batch.Encoded()
				if i%10 != 0 { // some fail
					batch.Computed()
					request.Ran(now, now, time.Now(), 1, 7)
				}
				batch.End("cpu/0", 7, now, 2, 64, 20)
				request.End(2, 64, 20)
			}
		})
	}
	all.Wait()
	stop()
	recorded := <-traces
	counts := map[Track]int{}
	for _, s := range recorded.whole() {
		counts[s.Track]++
		if s.End.Before(s.Begin) {
			t.Errorf("%+v ends before it begins", s)
		}
		if s.Track == Batch && (len(s.Requests) != 1 || s.On != "cpu/0") || s.Saved != 20 {
			t.Errorf("%+v", s)
		}
	}
	for track := range trackCount {
		if counts[track] != goroutines*each*9/10 {
			t.Errorf("%d spans of %s, want %d", counts[track], track, goroutines*each*9/10)
		}
	}
}

// example is a recording of one second from a moment on: a request that began before it, one in it, and a batch of both.
func example() *Trace {
	at := func(ms float64) time.Time { return time.Unix(100, 0).Add(time.Duration(ms * 1e6)) }
	return &Trace{Begin: at(0), End: at(1000), Spans: []Span{
		{Track: Request, Begin: at(-5), End: at(20), Request: 1}, {Track: Tokenise, Begin: at(-5), End: at(1), Request: 1},
		{Track: Request, Begin: at(2), End: at(21), Request: 2, Pairs: 3, Tokens: 40, Batch: 9, Batches: 1},
		{Track: Tokenise, Begin: at(2), End: at(3.25), Request: 2},
		{Track: Batch, Begin: at(-1), End: at(19), Batch: 9, On: "metal/0", Pairs: 4, Saved: 30, Requests: []uint64{1, 2}},
		{Track: Device, Begin: at(5), End: at(18), Batch: 9, On: "metal/0"},
		{Track: Batch, Begin: at(6), End: at(30), Batch: 10, On: "metal/0"},
	}}
}

func TestWriteChrome(t *testing.T) {
	var out bytes.Buffer
	if err := example().WriteChrome(&out); err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Events []map[string]any `json:"traceEvents"`
	}
	if err := json.Unmarshal(out.Bytes(), &parsed); err != nil {
		t.Fatalf("%v:\n%s", err, &out)
	}
	var got []string
	for _, e := range parsed.Events {
		if e["ph"] == "X" {
			got = append(got, fmt.Sprint(e["name"], " ", e["pid"], "/", e["tid"], " ", e["ts"], "+", e["dur"]))
		}
	}
	want := []string{
		"batch 2/60000 -1000+20000", "request 1/10000 2000+19000", "tokenise 1/20000 2000+1250", "device 2/90000 5000+13000",
		"batch 2/60001 6000+24000", // overlaps the other, and so lies in a lane of its own
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("events\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, text := range []string{`"requests":"1 2"`, `"first_batch":9`, `"saved_tokens":30}`, `"name":"batch 2"`, `"began":"1970-01-01T00:01:40Z"`} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("no %s in\n%s", text, &out)
		}
	}
}

func TestWriteFolded(t *testing.T) {
	var out bytes.Buffer
	if err := example().WriteFolded(&out); err != nil {
		t.Fatal(err)
	}
	want := "batch 31000\nbatch;device 13000\nrequest 17750\nrequest;tokenise 1250\n"
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", &out, want)
	}
}

func TestMicroseconds(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0.000", 1: "0.001", 1_234_567: "1234.567", -1500: "-1.500", -1: "-0.001"} {
		if got := microseconds(d); got != want {
			t.Errorf("%d ns are %s µs, want %s", d, got, want)
		}
	}
}

func TestRoom(t *testing.T) {
	c := &recording{spans: make([]Span, maxSpans-1)}
	c.add(Span{}, Span{})
	c.add(Span{})
	if len(c.spans) != maxSpans || c.dropped != 2 {
		t.Errorf("%d spans, %d dropped", len(c.spans), c.dropped)
	}
}

// BenchmarkOff measures the cost for a request without a recording.
func BenchmarkOff(b *testing.B) {
	var r Recorder
	for b.Loop() {
		timer := r.Request()
		timer.Tokenised()
		timer.End(1, 1, 0)
	}
}
