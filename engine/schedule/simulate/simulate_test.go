package simulate

import (
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/metalrank/metalrank/engine/schedule"
)

// list is a trace in memory.
type list []Request

func (l *list) Next(r *Request) error {
	if len(*l) == 0 {
		return io.EOF
	}
	from := (*l)[0]
	*l = (*l)[1:]
	r.At, r.Model, r.CancelAfter = from.At, from.Model, from.CancelAfter
	r.Client, r.Deadline = from.Client, from.Deadline
	r.Lengths = append(r.Lengths, from.Lengths...)
	return nil
}

// ask is a request for n documents of 10 tokens, at a time in milliseconds.
func ask(at, n int) Request {
	return Request{At: time.Duration(at) * time.Millisecond, Request: schedule.Request{Lengths: slices.Repeat([]int32{10}, n)}}
}

// plain is a device that takes 2 ms and 1 ms a document, after 1 ms of the host's, in batches of ten documents.
func plain() Config {
	return Config{
		Models: []Model{{
			Limits: schedule.Limits{BatchTokens: 100, QueueTokens: 1 << 20, Requests: 100},
			Cost:   Cost{Fixed: 2 * time.Millisecond, Token: 100 * time.Microsecond, Pack: time.Millisecond},
		}},
		Devices: []Device{{}},
	}
}

func mustRun(t *testing.T, c Config, p NewPolicy, trace Trace) *Report {
	t.Helper()
	r, err := Run(c, p, trace)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Results of runs that can be computed by hand.
func TestTimes(t *testing.T) {
	at := schedule.DeviceConfig{Overlap: 2, Lead: 1} // hand over at once
	tests := []struct {
		name     string
		policy   NewPolicy
		overlap  schedule.DeviceConfig
		trace    list
		end      int64 // ms
		batches  int
		busy     int64
		withWork int64
	}{
		{"one request", Ours, at, list{ask(0, 4)}, 7, 1, 6, 7},
		{"over two batches, the second packed meanwhile", Ours, at, list{ask(0, 20)}, 25, 2, 24, 25},
		{"over two batches, packed when idle", Ours, schedule.DeviceConfig{Overlap: 1}, list{ask(0, 20)}, 26, 2, 24, 26},
		{"an idle time", Ours, at, list{ask(0, 4), ask(20, 4)}, 27, 2, 12, 14},
		{"what comes while two are handed over", Ours, at, list{ask(0, 4), ask(1, 1), ask(2, 1), ask(3, 1)}, 14, 3, 13, 14},
		{"a window that elapses", Window(50 * time.Millisecond), at, list{ask(0, 2), ask(10, 2)}, 57, 1, 6, 57},
		{"a window that fills", Window(50 * time.Millisecond), at, list{ask(0, 5), ask(10, 5)}, 23, 1, 12, 23},
		{"a window keeps requests whole", Window(50 * time.Millisecond), at, list{ask(0, 6), ask(10, 6)}, 69, 2, 16, 69},
		{"FIFO", FIFO, at, list{ask(0, 20), ask(1, 1)}, 28, 3, 27, 28},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := plain()
			c.Overlap = test.overlap
			r := mustRun(t, c, test.policy, &test.trace)
			d := r.Devices[0]
			end, busy, withWork := r.Duration.Milliseconds(), d.Busy.Milliseconds(), d.WithWork.Milliseconds()
			if end != test.end || d.Batches != test.batches || busy != test.busy || withWork != test.withWork {
				t.Errorf("ends at %d ms, after %d batches, busy %d ms of %d; want %d, %d, %d of %d",
					end, d.Batches, busy, withWork, test.end, test.batches, test.busy, test.withWork)
			}
		})
	}
}

// Each request of any trace is counted once, and each policy ends with nothing left.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{Seed: rapid.Uint64().Draw(t, "seed")}
		for range rapid.IntRange(1, 3).Draw(t, "devices") {
			c.Devices = append(c.Devices, Device{Speed: rapid.Float64Range(0.5, 2).Draw(t, "speed")})
		}
		s := Synthetic{Seed: c.Seed, Until: 3 * time.Second}
		for i := range rapid.IntRange(1, 3).Draw(t, "models") {
			m := small()
			m.Limits = schedule.Limits{
				BatchTokens: rapid.IntRange(50, 4096).Draw(t, "batch"), QueueTokens: rapid.IntRange(50, 1<<17).Draw(t, "queue"),
				Requests: rapid.IntRange(1, 300).Draw(t, "requests"),
				MaxWait:  time.Duration(rapid.IntRange(0, 1).Draw(t, "wait")) * 3 * time.Millisecond,
			}
			m.Cost.Pair = 0.1
			c.Models = append(c.Models, m)
			s.Streams = append(s.Streams, at(rapid.Float64Range(0.1, 1).Draw(t, "load"), m, Stream{
				Model: i, Documents: heavyTailed()[:4], Clients: 3, Cancels: 0.3, Patience: 20 * time.Millisecond,
				Deadline: time.Duration(rapid.IntRange(0, 1).Draw(t, "deadline")) * 50 * time.Millisecond,
			}))
		}
		for _, p := range []NewPolicy{Ours, Window(20 * time.Millisecond), FIFO, Shortest, Turns} {
			var made Policy
			r, err := Run(c, func(c *Config) Policy { made = p(c); return made }, s.Trace())
			if err != nil {
				t.Fatal(err)
			}
			if r.Requests != r.Refused+r.Accepted || r.Accepted != r.Answered+r.Cancelled+r.Expired {
				t.Fatalf("%d requests: %d refused, %d answered, %d cancelled, %d expired",
					r.Requests, r.Refused, r.Answered, r.Cancelled, r.Expired)
			}
			if tokens, requests := left(made); tokens != 0 || requests != 0 {
				t.Fatalf("%T ends with %d tokens and %d requests", made, tokens, requests)
			}
		}
	})
}

func left(p Policy) (tokens, requests int) {
	switch p := p.(type) {
	case *ours:
		for _, q := range p.queues {
			tokens += q.Tokens()
			requests += q.Requests()
		}
	case *turns:
		for _, l := range p.lines {
			tokens += l.tokens
			requests += l.requests + len(l.entries)
		}
	case *fifo:
		for _, l := range p.lines {
			tokens += l.tokens
			requests += l.requests
		}
	}
	return tokens, requests
}

// Devices of one model take work as fast as they are.
func TestDevicesBySpeed(t *testing.T) {
	c := OneModel()
	c.Devices = []Device{{Speed: 1}, {Speed: 3}}
	c.Models[0].Limits.QueueTokens = 1 << 18
	s := Synthetic{Seed: 1, Until: time.Minute, Streams: []Stream{at(6, c.Models[0], Stream{Documents: searches()})}}
	r := mustRun(t, c, Ours, s.Trace())
	if ratio := float64(r.Devices[1].Tokens) / float64(r.Devices[0].Tokens); ratio < 2.9 || ratio > 3.1 {
		t.Errorf("a device of three times the speed took %.2f times the tokens", ratio)
	}
	if r.Utilisation() < 0.98 {
		t.Errorf("busy for %.3f of the time", r.Utilisation())
	}
}

func TestRunRefuses(t *testing.T) {
	outside := plain()
	outside.Models[0].Devices = []int{1}
	wrong := ask(0, 1)
	wrong.Model = 1
	for _, test := range []struct {
		config Config
		trace  list
		want   string
	}{
		{Config{}, nil, "no models"},
		{outside, nil, "device 1, there are 1"},
		{plain(), list{wrong}, "model 1 of 1"},
		{plain(), list{ask(5, 1), ask(4, 1)}, "request 2: at 4ms after 5ms"},
		{plain(), list{ask(0, 0)}, "0 documents"},
	} {
		if _, err := Run(test.config, Ours, &test.trace); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want one with %q", err, test.want)
		}
	}
}

// A run of a day needs no more memory than a short one: memory does not grow with the number of requests.
func TestMemoryIsBounded(t *testing.T) {
	s := scenario(t, "light")
	trace := s.Trace(1)
	heap := func(until time.Duration) uint64 {
		trace.Until = until
		r := mustRun(t, s.Config(), Ours, trace.Trace())
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		runtime.KeepAlive(r)
		return m.TotalAlloc
	}
	begin := heap(time.Second)
	short := heap(time.Minute) - begin
	long := heap(10*time.Minute) - short - begin
	if long > short+1<<20 {
		t.Errorf("a minute allocates %d KB, ten minutes %d KB", short>>10, long>>10)
	}
}

func scenario(t *testing.T, name string) Scenario {
	t.Helper()
	i := slices.IndexFunc(Scenarios(), func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("there is no scenario %q", name)
	}
	return Scenarios()[i]
}

func TestQuantiles(t *testing.T) {
	var q Quantiles
	if q.At(0.5) != 0 {
		t.Error("a quantile of nothing is not 0")
	}
	for i := range int64(100_000) {
		q.add(i * 1000)
	}
	for _, p := range []float64{0.01, 0.5, 0.99, 1} {
		if got, want := float64(q.At(p)), p*1e8; math.Abs(got-want) > 0.01*want {
			t.Errorf("the %g quantile is %g, want %g within 1 %%", p, got, want)
		}
	}
}
