package simulate

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metalrank/metalrank/engine/schedule"
)

func mustScenario(t *testing.T, name string, until time.Duration, seed uint64, p NewPolicy, change func(*Config)) *Report {
	t.Helper()
	s := scenario(t, name)
	c, trace := s.Config(), s.Trace(seed)
	if until > 0 {
		trace.Until = until
	}
	if change != nil {
		change(&c)
	}
	return mustRun(t, c, p, trace.Trace())
}

func small99(r *Report) float64 { return float64(r.Classes[0].Latency.At(0.99)) }

// At 90 % load the device is busy for 98 % of the time in which there is work. Requests of up to 8 documents that come while
// larger than 1,024 are there take at most 3 batches' time in 99 of 100 cases, a fifth of FIFO's at most.
func TestHeavyTail(t *testing.T) {
	offered := 0.
	for seed := range uint64(3) {
		r := mustScenario(t, "heavy", 15*time.Minute, seed, Ours, nil)
		offered += r.Offered / 3
		if r.Utilisation() < 0.98 {
			t.Errorf("seed %d: busy for %.4f of the time with work, want 0.98", seed, r.Utilisation())
		}
		if p99 := r.Beside.Batches.At(0.99); p99 > 300 || r.Beside.Answered < 10_000 {
			t.Errorf("seed %d: the p99 of %d small requests beside large ones is %.2f batches, want 3",
				seed, r.Beside.Answered, float64(p99)/100)
		}
		if other := mustScenario(t, "heavy", 15*time.Minute, seed, FIFO, nil); small99(other) < 5*small99(r) {
			t.Errorf("seed %d: the p99 of small requests is %.1f ms, FIFO's %.1f ms", seed, small99(r)/1e6, small99(other)/1e6)
		}
		if r.Answered != r.Requests {
			t.Errorf("seed %d: %d of %d requests were answered", seed, r.Answered, r.Requests)
		}
	}
	if offered < 0.87 || offered > 0.93 {
		t.Errorf("%.3f was offered, want 0.9", offered)
	}
}

// A device that is idle does not wait for a window.
func TestLightLoad(t *testing.T) {
	for seed := range uint64(3) {
		ours := mustScenario(t, "light", time.Minute, seed, Ours, nil).Classes[0].Latency.At(0.5)
		if window := mustScenario(t, "light", time.Minute, seed, Window(50*time.Millisecond), nil).Classes[0].Latency.At(0.5); window < 2*ours {
			t.Errorf("seed %d: a p50 of %v, of a window's %v", seed, time.Duration(ours), time.Duration(window))
		}
	}
}

// chain is one trace after another.
type chain []Trace

func (c chain) Next(r *Request) error {
	if err := c[0].Next(r); len(c) == 1 || !errors.Is(err, io.EOF) {
		return err
	}
	return c[1:].Next(r)
}

// A request of 4,096 documents gets its client's part, however many small ones come after it.
func TestNobodyStarves(t *testing.T) {
	c := OneModel()
	c.Models[0].Limits.QueueTokens, c.Models[0].Limits.Requests = 1<<26, 1<<20 // all are admitted
	flood := Synthetic{Seed: 1, Until: 20 * time.Second, Streams: []Stream{at(3, c.Models[0], Stream{Documents: searches()})}}
	r := mustRun(t, c, Ours, chain{&list{ask(0, 4096)}, flood.Trace()})
	large := r.Classes[len(r.Classes)-1]
	batches := int64(4096 * 10 / c.Models[0].Limits.BatchTokens)
	if most := 4*batches + 4; large.Answered != 1 || large.Batches.At(1) > 100*most || r.Offered < 0.9 {
		t.Errorf("the request of %d batches was answered after %.1f batches, want %d at most",
			batches, float64(large.Batches.At(1))/100, most)
	}
	if r.Answered != r.Requests {
		t.Errorf("%d were answered of %d", r.Answered, r.Requests)
	}
}

// Models that both have too much get a device's time by their weights, though a batch of the one takes four times as long.
func TestModelsShare(t *testing.T) {
	for _, weight := range []float64{1, 3} {
		c := twoModels()
		c.Models[1].Weight = weight
		s := Synthetic{Seed: 1, Until: time.Minute, Streams: []Stream{
			at(1.5, c.Models[0], Stream{Documents: searches()}),
			at(1.5, c.Models[1], Stream{Model: 1, Documents: heavyTailed()[:3]}),
		}}
		r := mustRun(t, c, Ours, s.Trace())
		got := r.Models[1].DeviceTime.Seconds() / r.Device().Busy.Seconds()
		if want := weight / (1 + weight); got < 0.95*want || got > 1.05*want {
			t.Errorf("a model of weight %g beside one of 1 got %.3f of the time, want %.3f within 5 %%", weight, got, want)
		}
		if r.Utilisation() < 0.98 {
			t.Errorf("busy for %.4f of the time with work, want 0.98", r.Utilisation())
		}
	}
}

// Of two models that both have too much, one of 400 times the cost of the other, each gets its share of a device's time, and
// requests of both wait for as long. A limit of tokens alone would let those of the costly one wait for minutes.
func TestUnlikeModelsShare(t *testing.T) {
	for _, test := range []struct {
		weight float64
		limit  time.Duration
		tokens int
		same   bool
	}{{1, 10 * time.Second, 1 << 24, true}, {3, 10 * time.Second, 1 << 24, true}, {1, time.Hour, 1 << 20, false}} {
		c := unlike()
		c.Models[1].Weight = test.weight
		s := Synthetic{Seed: 1, Until: time.Minute}
		for i := range c.Models {
			c.Models[i].Limits.QueueTime, c.Models[i].Limits.QueueTokens = test.limit, test.tokens
			s.Streams = append(s.Streams, at(3, c.Models[i], Stream{Model: i, Documents: []Part{{Of: 1, Least: 8, Most: 8}}}))
		}
		r := mustRun(t, c, Ours, s.Trace())
		got := r.Models[1].DeviceTime.Seconds() / r.Device().Busy.Seconds()
		if want := test.weight / (1 + test.weight); test.same && (got < 0.95*want || got > 1.05*want) {
			t.Errorf("a model of weight %g beside one of 1 got %.3f of the time, want %.3f within 5 %%", test.weight, got, want)
		}
		waits := [2]time.Duration{}
		for i := range waits {
			waits[i] = time.Duration(r.Models[i].Latency.At(0.5))
		}
		ratio := waits[1].Seconds() / waits[0].Seconds()
		if same := ratio > 0.8 && ratio < 1.25; same != test.same {
			t.Errorf("with a limit of %v requests wait for %v and %v", test.limit, waits[0], waits[1])
		}
	}
}

// A client that sends far too much is refused, and the others are not, nor do they wait for it.
func TestFloodHurtsItself(t *testing.T) {
	for _, test := range []struct {
		policy      NewPolicy
		least, most float64
	}{{Ours, 0, 0.001}, {FIFO, 0.2, 1}} {
		r := mustScenario(t, "flood", 30*time.Second, 1, test.policy, nil)
		var requests, refused int64
		for name, c := range r.Clients {
			if strings.HasPrefix(name, "modest") {
				requests += c.Requests
				refused += c.Refused
				if p99 := time.Duration(c.Latency.At(0.99)); test.most < 1 && p99 > 30*time.Millisecond {
					t.Errorf("%s has a p99 of %v", name, p99)
				}
			}
		}
		if part := float64(refused) / float64(requests); part < test.least || part > test.most {
			t.Errorf("%.4f of the modest clients' requests were refused, want %g to %g", part, test.least, test.most)
		}
	}
}

// Under overload with deadlines the device does little work that is of no use, and small requests are answered.
func TestOverload(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds, and many under the race detector, which has nothing to find here")
	}
	var wasted []float64 // of three seeds
	for seed := range uint64(3) {
		r := mustScenario(t, "overload", 0, seed+1, Ours, nil)
		wasted = append(wasted, float64(r.Wasted)/float64(r.Tokens))
		if r.Offered < 1.3 || r.Utilisation() < 0.98 {
			t.Errorf("%.2f was offered, busy for %.3f of the time", r.Offered, r.Utilisation())
		}
		if got := r.Classes[0].Batches.At(0.99); got > 300 {
			t.Errorf("the p99 of small requests is %.2f batches", float64(got)/100)
		}
		for name, c := range r.Clients {
			if strings.HasPrefix(name, "modest") && c.Refused > 0 {
				t.Errorf("%d requests of %s were refused", c.Refused, name)
			}
		}
		if r.Late > r.Answered/1000 {
			t.Errorf("%d of %d were answered after their deadline", r.Late, r.Answered)
		}
	}
	if slices.Sort(wasted); wasted[1] > 0.01 {
		t.Errorf("%.4f of the tokens were of requests that expired, want a median of 0.01 at most", wasted)
	}
}

// A day: some 8 million requests.
func TestDay(t *testing.T) {
	if os.Getenv("METALRANK_TEST_LONG") == "" {
		t.Skip("a day takes many seconds; METALRANK_TEST_LONG is not set")
	}
	r := mustScenario(t, "day", 0, 1, Ours, nil)
	if r.Requests < 7_000_000 || r.Duration < 24*time.Hour-time.Minute || r.Accepted != r.Answered+r.Cancelled+r.Expired {
		t.Errorf("%d requests in %v: %d accepted, %d answered, %d cancelled", r.Requests, r.Duration, r.Accepted, r.Answered, r.Cancelled)
	}
	if r.Utilisation() < 0.98 || r.Beside.Batches.At(0.99) > 300 {
		t.Errorf("busy for %.4f, p99 %.2f batches", r.Utilisation(), float64(r.Beside.Batches.At(0.99))/100)
	}
}

// Where all requests have as many documents, ours is hardly worse than FIFO: with one client by 3 % at most, and with
// several, as it keeps their parts, by a quarter at most.
func TestUniform(t *testing.T) {
	for _, c := range []struct {
		documents, clients int
		load               float64
	}{{1, 1, 0.9}, {8, 16, 0.5}, {32, 1, 0.2}, {32, 1, 0.9}, {32, 4, 0.95}, {32, 16, 0.9}, {100, 16, 0.9}, {1000, 256, 0.8}} {
		s := Uniform(c.documents, c.load, c.clients)
		var p50, p99 [2]float64
		for i, p := range []NewPolicy{Ours, FIFO} {
			r, err := s.Run(1, p, nil)
			if err != nil {
				t.Fatal(err)
			}
			p50[i], p99[i] = float64(r.Latency.At(0.5)), float64(r.Latency.At(0.99))
		}
		median, most := 1.03, 1.03
		if c.clients > 1 {
			median, most = 1, 1.25
		}
		if p50[0] > median*p50[1] || p99[0] > most*p99[1] {
			t.Errorf("%s: p50 %.1f ms, FIFO's %.1f; p99 %.1f ms, FIFO's %.1f", s.Name, p50[0]/1e6, p50[1]/1e6, p99[0]/1e6, p99[1]/1e6)
		}
	}
}

// In a closed loop every client has one request at a time, and no policy may make it wait for more than those of the others.
func TestLoop(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds, and many under the race detector, which has nothing to find here")
	}
	for _, c := range []struct{ documents, clients int }{{8, 1}, {32, 4}, {96, 12}} {
		s := Loop(c.documents, c.clients)
		var p50, p99, rate [2]float64
		for i, p := range []NewPolicy{Ours, FIFO} {
			r, err := s.Run(1, p, nil)
			if err != nil {
				t.Fatal(err)
			}
			p50[i], p99[i] = float64(r.Latency.At(0.5)), float64(r.Latency.At(0.99))
			rate[i] = float64(r.Answered) / r.Duration.Seconds()
			if mean := float64(c.clients) / rate[i]; mean < p50[i]/1e9/1.2 || mean > p50[i]/1e9*1.2 { // Little's law
				t.Errorf("%s, policy %d: %.1f requests/s with a p50 of %.1f ms", s.Name, i, rate[i], p50[i]/1e6)
			}
		}
		if p50[0] > 1.1*p50[1] || p99[0] > 1.25*p99[1] || rate[0] < 0.98*rate[1] {
			t.Errorf("%s: p50 %.1f ms, FIFO's %.1f; p99 %.1f ms, FIFO's %.1f; %.1f requests/s, FIFO's %.1f", s.Name,
				p50[0]/1e6, p50[1]/1e6, p99[0]/1e6, p99[1]/1e6, rate[0], rate[1])
		}
	}
}

// Where requests have 20 to 200 documents, those up to 128 are quicker than by FIFO. The others pay for it, by half
// as much again as its p99 at most.
func TestRAG(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds, and many under the race detector, which has nothing to find here")
	}
	var ratios [3][3]float64 // p50 and p99 of those up to 128, p99 of the others; by seed
	for seed := range uint64(3) {
		ours := mustScenario(t, "rag", 0, seed+1, Ours, nil)
		fifo := mustScenario(t, "rag", 0, seed+1, FIFO, nil)
		for i, at := range []struct {
			class int
			p     float64
		}{{1, 0.5}, {1, 0.99}, {2, 0.99}} {
			ratios[i][seed] = float64(ours.Classes[at.class].Latency.At(at.p)) / float64(fifo.Classes[at.class].Latency.At(at.p))
		}
	}
	for i, most := range []float64{1, 1, 1.5} {
		slices.Sort(ratios[i][:])
		if ratios[i][1] > most {
			t.Errorf("times FIFO's: %.3f of three seeds, want a median of %g at most", ratios[i], most)
		}
	}
}

// The defaults are good: no neighbouring value is better, by more than a little, in both busy time and the small requests'
// p99.
func TestDefaultsAreGood(t *testing.T) {
	base := mustScenario(t, "heavy", 5*time.Minute, 1, Ours, nil)
	for name, change := range map[string]func(*Config){
		"lead 0.4":  func(c *Config) { c.Overlap = schedule.DeviceConfig{Overlap: 2, Lead: 0.4} },
		"lead 0.01": func(c *Config) { c.Overlap = schedule.DeviceConfig{Overlap: 2, Lead: 0.01} },
	} {
		r := mustScenario(t, "heavy", 5*time.Minute, 1, Ours, change)
		if r.Utilisation() > base.Utilisation()-0.002 && small99(r) < 0.97*small99(base) {
			t.Errorf("%s: busy %.4f and p99 %.1f ms, by default %.4f and %.1f ms",
				name, r.Utilisation(), small99(r)/1e6, base.Utilisation(), small99(base)/1e6)
		}
	}
}
