package simulate

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRecorded(t *testing.T) {
	trace := NewRecorded(strings.NewReader(`{"at_ms": 12.5, "client": "a", "lengths": [83, 120], "deadline_ms": 200, "cancel_after_ms": 50}
{"at_ms": 13, "model": 1, "documents": 3, "length": 100}
`), 2)
	var a, b, c Request
	if err := errors.Join(trace.Next(&a), trace.Next(&b)); err != nil {
		t.Fatal(err)
	}
	ms := time.Millisecond
	if a.At != 12500*time.Microsecond || a.Client != "a" || !slices.Equal(a.Lengths, []int32{83, 120}) || a.Model != 0 ||
		a.Deadline != a.At+200*ms || a.CancelAfter != 50*ms {
		t.Errorf("the first is %+v", a)
	}
	if b.At != 13*ms || b.Model != 1 || !slices.Equal(b.Lengths, []int32{100, 100, 100}) || b.Deadline != 0 || b.CancelAfter != 0 {
		t.Errorf("the second is %+v", b)
	}
	if err := trace.Next(&c); err != io.EOF { //nolint:errorlint // io.EOF itself is the contract
		t.Errorf("at the end: %v", err)
	}
}

func TestRecordedRefuses(t *testing.T) {
	for line, want := range map[string]string{
		`{"at_ms": 1, "lengths": [1]}` + "\n" + `{"at_ms": 0.5, "lengths": [1]}`: "line 2: at_ms is 0.5, after 1",
		`{"at_ms": -1, "lengths": [1]}`:                                          "line 1: at_ms is -1, want 0 to",
		`{"at_ms": 1e300, "lengths": [1]}`:                                       "at_ms is 1e+300",
		`{"deadline_ms": -2, "lengths": [1]}`:                                    "deadline_ms is -2",
		`{"cancel_after_ms": 1e99, "lengths": [1]}`:                              "cancel_after_ms is 1e+99",
		`{"lengths": [1, 0]}`:                                                    "a length is 0, want 1 to",
		`{"documents": 2}`:                                                       "a length is 0, want 1 to",
		`{"documents": 1000000000, "length": 1}`:                                 "documents is 1000000000, want 1 to",
		`{}`:                                                                     "documents is 0, want 1 to",
		`{"lengths": [1], "documents": 1}`:                                       "lengths as well as documents",
		`{"lengths": [1], "model": 1}`:                                           "model is 1, want 0 to 0",
		`{"lengths": [1], "at": 1}`:                                              "at",
		`nonsense`:                                                               "line 1",
		strings.Repeat(" ", maxLine+1):                                           "line 1: bufio.Scanner: token too long",
	} {
		trace := NewRecorded(strings.NewReader(line), 1)
		var err error
		for err == nil {
			err = trace.Next(new(Request))
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: error %v, want one with %q", line, err, want)
		}
	}
}

// FuzzRecorded: no file makes the reader panic, or return a request that Run refuses.
func FuzzRecorded(f *testing.F) {
	f.Add(`{"at_ms": 12.5, "client": "a", "lengths": [83, 120], "deadline_ms": 200, "cancel_after_ms": 50}`)
	f.Add("{\"at_ms\": 13, \"documents\": 20, \"length\": 100}\n{\"at_ms\": 13, \"lengths\": [131072]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := Run(OneModel(), Ours, NewRecorded(strings.NewReader(text), 1))
		if err != nil && !strings.HasPrefix(err.Error(), "simulate: line ") {
			t.Fatal(err)
		}
	})
}

// The trace follows its parameters, and is the same each time it is made.
func TestSynthetic(t *testing.T) {
	s := Synthetic{Seed: 7, Until: time.Hour, Streams: []Stream{
		{Rate: 20, Documents: heavyTailed()[:3], Lengths: Passages(), Clients: 4, Client: "c", Cancels: 0.25, Patience: time.Second},
		{Rate: 5, Model: 1, Documents: searches(), Lengths: Passages(), On: time.Second, Off: 3 * time.Second, Deadline: time.Second},
	}}
	s.Streams[0].Documents[0].Of += 0.005 // for the parts that are left out
	var requests, documents, tokens, cancels [2]float64
	clients := map[string]int{}
	a, b := s.Trace(), s.Trace()
	var last time.Duration
	for {
		var r, same Request
		err := a.Next(&r)
		if other := b.Next(&same); !errors.Is(other, err) || fmt.Sprint(r) != fmt.Sprint(same) {
			t.Fatal("two traces of a seed differ")
		}
		if err != nil {
			break
		}
		if r.At < last || r.At > s.Until {
			t.Fatalf("one comes at %v, after %v", r.At, last)
		}
		last = r.At
		requests[r.Model]++
		documents[r.Model] += float64(len(r.Lengths))
		for _, n := range r.Lengths {
			if n < 26 || n > 261 {
				t.Fatalf("a length of %d", n)
			}
			tokens[r.Model] += float64(n)
		}
		if r.CancelAfter > 0 {
			cancels[r.Model]++
		}
		if r.Model == 1 && r.Deadline != r.At+time.Second {
			t.Fatalf("a deadline of %v at %v", r.Deadline, r.At)
		}
		clients[r.Client]++
	}
	near := func(what string, got, want, within float64) {
		if math.Abs(got-want) > within*want {
			t.Errorf("%s: %g, want %g within %g", what, got, want, within)
		}
	}
	near("requests a second", requests[0]/3600, 20, 0.02)
	near("requests a second, in bursts", requests[1]/3600, 5, 0.15) // 900 bursts
	near("tokens a request", tokens[0]/requests[0], s.Streams[0].Tokens(), 0.03)
	near("tokens a request, in bursts", tokens[1]/requests[1], s.Streams[1].Tokens(), 0.03)
	near("cancelled", cancels[0]/requests[0], 0.25, 0.03)
	near("of client c2", float64(clients["c2"])/requests[0], 0.25, 0.03)
	if cancels[1] != 0 {
		t.Error("requests are cancelled in a stream where none should be")
	}
}

func TestSyntheticShapes(t *testing.T) {
	count := func(s Stream, until time.Duration, in func(time.Duration) bool) (inside, all float64) {
		s.Documents, s.Lengths = []Part{{Of: 1, Least: 1, Most: 1}}, Passages()
		trace := (&Synthetic{Seed: 3, Until: until, Streams: []Stream{s}}).Trace()
		var r Request
		for r = (Request{}); trace.Next(&r) == nil; r = (Request{}) {
			all++
			if in(r.At) {
				inside++
			}
		}
		return inside, all
	}
	day := func(at time.Duration) bool {
		return at%(24*time.Hour) > 6*time.Hour && at%(24*time.Hour) < 18*time.Hour
	}
	inside, all := count(Stream{Rate: 1, Daily: true}, 48*time.Hour, day)
	if want := 0.5 + 0.8/math.Pi; math.Abs(inside/all-want) > 0.01 { // the integral of 1 - 0.8 cos over half a day
		t.Errorf("by day come %.3f of a day's requests, want %.3f", inside/all, want)
	}
	if math.Abs(all/(48*3600)-1) > 0.02 {
		t.Errorf("%.3f requests a second over whole days, want 1", all/(48*3600))
	}
	// Seconds without a request: e^-1 of all without bursts; with them the pauses too.
	empty := func(s Stream) float64 {
		seconds := map[time.Duration]bool{}
		count(s, time.Hour, func(at time.Duration) bool { seconds[at/time.Second] = true; return true })
		return 1 - float64(len(seconds))/3600
	}
	if even, bursts := empty(Stream{Rate: 1}), empty(Stream{Rate: 1, On: 10 * time.Second, Off: 30 * time.Second}); even > 0.4 || bursts < 0.7 {
		t.Errorf("%.2f of seconds are empty, and %.2f with pauses of three quarters", even, bursts)
	}
}
