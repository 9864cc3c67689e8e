package schedule

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// rig drives queues and devices at random, and keeps its own account of every request.
type rig struct {
	t       *rapid.T
	now     time.Duration
	queues  []*Queue
	devices []*Device
	running []*Batch
	entries map[*Request]*account
	order   []*account // as they came
}

// account is the expected state of a request.
type account struct {
	request *Request
	queue   *Queue
	ran     int  // sequences that were handed over, which must be the first
	back    int  // sequences that came back
	saved   int  // tokens
	dropped bool // or expired
}

func newRig(t *rapid.T) *rig {
	g := &rig{t: t, entries: map[*Request]*account{}}
	for range rapid.IntRange(1, 3).Draw(t, "devices") {
		g.devices = append(g.devices, NewDevice(DeviceConfig{
			Overlap: rapid.IntRange(1, 3).Draw(t, "overlap"), Lead: rapid.SampledFrom([]float64{0, 0.2, 1}).Draw(t, "lead"),
		}))
	}
	for range rapid.IntRange(1, 3).Draw(t, "queues") {
		q := NewQueue(Limits{
			BatchTokens: rapid.IntRange(1, 200).Draw(t, "batch tokens"), QueueTokens: rapid.IntRange(1, 2000).Draw(t, "queue tokens"),
			Requests:  rapid.IntRange(1, 20).Draw(t, "requests"),
			MaxWait:   time.Duration(rapid.SampledFrom([]int{0, 0, 50}).Draw(t, "wait")),
			QueueTime: time.Duration(rapid.SampledFrom([]int{0, 50, 1000}).Draw(t, "queue time")), Unit: float64(rapid.IntRange(0, 3).Draw(t, "unit")),
		})
		for _, d := range g.devices {
			d.Attach(q, rapid.SampledFrom([]float64{0, 0.3, 1, 7}).Draw(t, "weight"))
		}
		g.queues = append(g.queues, q)
	}
	return g
}

func (g *rig) push(*rapid.T) {
	q := rapid.SampledFrom(g.queues).Draw(g.t, "queue")
	r := &Request{
		Client: rapid.SampledFrom([]string{"", "a", "b"}).Draw(g.t, "client"),
		Weight: rapid.SampledFrom([]float64{0, 0.1, 3}).Draw(g.t, "request weight"),
	}
	r.Lengths = rapid.SliceOfN(rapid.Int32Range(1, 80), 0, 30).Draw(g.t, "lengths")
	if shared := rapid.Int32Range(-30, 30).Draw(g.t, "shared"); shared > 0 {
		for i := range r.Lengths {
			r.Lengths[i] += shared
			r.Shared = append(r.Shared, shared*rapid.Int32Range(0, 1).Draw(g.t, "shares"))
		}
	}
	if rapid.Bool().Draw(g.t, "with deadline") {
		r.Deadline = g.now + time.Duration(rapid.IntRange(1, 300).Draw(g.t, "deadline"))
	}
	tokens, requests := q.Tokens(), q.Requests()
	if err := q.Enter(); err != nil {
		g.refused(err, q, "Requests", tokens, requests)
		return
	}
	if err := q.Push(r, g.now); err != nil {
		limit := "QueueTokens"
		var over *OverloadError
		if errors.As(err, &over) && q.Limits().QueueTime > 0 && strings.HasPrefix(over.Limit, timeLimit) {
			limit = timeLimit
		}
		if errors.As(err, &over) && r.Deadline != 0 && tokens > 0 && !strings.HasPrefix(over.Limit, limit) {
			limit = "milliseconds before the deadline"
		}
		g.refused(err, q, limit, tokens, requests+1)
		q.Leave()
		return
	}
	if len(r.Lengths) == 0 {
		if !r.Done() || !r.Idle() {
			g.t.Fatal("an empty request is not done at once")
		}
		q.Leave()
		return
	}
	a := &account{request: r, queue: q}
	g.entries[r] = a
	g.order = append(g.order, a)
}

// refused checks that nothing was taken in.
func (g *rig) refused(err error, q *Queue, limit string, tokens, requests int) {
	var over *OverloadError
	if !errors.As(err, &over) || !errors.Is(err, ErrOverloaded) || !strings.HasPrefix(over.Limit, limit) || over.Value < over.Max || over.RetryAfter < 0 {
		g.t.Fatalf("refused with %#v, want one about %s", err, limit)
	}
	if q.Tokens() != tokens || q.Requests() != requests {
		g.t.Fatalf("refused, and %d tokens and %d requests became %d and %d", tokens, requests, q.Tokens(), q.Requests())
	}
}

func (g *rig) drop(t *rapid.T) {
	if len(g.order) == 0 {
		t.Skip("none there")
	}
	a := rapid.SampledFrom(g.order).Draw(t, "which")
	a.queue.Drop(a.request)
	a.dropped = true // none of order has come back whole
	g.settle(a)
}

func (g *rig) next(t *rapid.T) {
	b := &Batch{}
	ok, again := rapid.SampledFrom(g.devices).Draw(t, "device").Next(b, g.now)
	for _, r := range b.Expired {
		if r.Deadline == 0 || g.entries[r].dropped {
			t.Fatalf("a request with a deadline of %v expired at %v", r.Deadline, g.now)
		}
		g.entries[r].dropped = true
		g.settle(g.entries[r])
	}
	if !ok {
		if again != 0 && again <= g.now {
			t.Fatalf("to be asked again at %v, and it is %v", again, g.now)
		}
		return
	}
	if err := g.check(b); err != nil {
		t.Fatal(err)
	}
	g.running = append(g.running, b)
}

// check compares a batch with the accounts, and counts it.
func (g *rig) check(b *Batch) error {
	tokens, saved, sequences, seen := 0, 0, 0, map[*Request]bool{}
	for _, span := range b.Spans {
		r := span.Request
		a := g.entries[r]
		switch {
		case a == nil || a.dropped || a.queue != b.Queue:
			return errors.New("a batch has a request that isn't there")
		case seen[r]:
			return errors.New("a batch has two spans of a request")
		case span.From != a.ran || span.To <= span.From || span.To > len(r.Lengths):
			return fmt.Errorf("sequences %d to %d of %d are run, after %d", span.From, span.To, len(r.Lengths), a.ran)
		case r.Deadline != 0 && r.Deadline <= g.now:
			return errors.New("a request runs after its deadline")
		}
		seen[r] = true
		cost, whole := tokensOf(r, span.From, span.To)
		tokens += cost
		saved += whole - cost
		a.saved += whole - cost
		sequences += span.To - span.From
		a.ran = span.To
	}
	if sequences == 0 || tokens != b.Tokens || saved != b.Saved || sequences != b.Sequences {
		return fmt.Errorf("a batch of %d tokens, with %d saved, in %d sequences says %d, %d and %d",
			tokens, saved, sequences, b.Tokens, b.Saved, b.Sequences)
	}
	if b.Beside && b.attachment.device.Running() < 2 {
		return errors.New("a batch runs beside no other")
	}
	if limit := b.Queue.Limits().BatchTokens; tokens > limit && sequences > 1 {
		return fmt.Errorf("a batch has %d tokens, the limit is %d", tokens, limit)
	}
	return nil
}

// tokensOf counts the tokens of sequences of a request in one batch: those that are computed, and those of all.
func tokensOf(r *Request, from, to int) (tokens, whole int) {
	for i := from; i < to; i++ {
		whole += int(r.Lengths[i])
		if tokens += int(r.Lengths[i]); i > from && len(r.Shared) > 0 {
			tokens -= int(r.Shared[i])
		}
	}
	return tokens, whole
}

func (g *rig) done(t *rapid.T) {
	if len(g.running) == 0 {
		t.Skip("none runs")
	}
	i := rapid.IntRange(0, len(g.running)-1).Draw(t, "batch")
	g.finish(i)
}

func (g *rig) finish(i int) {
	b := g.running[i]
	g.running = append(g.running[:i], g.running[i+1:]...)
	if used := b.attachment.device.Done(b, g.now); used < 0 {
		g.t.Fatalf("a batch took %v", used)
	}
	for _, span := range b.Spans {
		a := g.entries[span.Request]
		a.back += span.To - span.From
		g.settle(a)
	}
}

// settle forgets a request that has come to its end, and checks that the scheduler has too.
func (g *rig) settle(a *account) {
	r := a.request
	whole, out := a.back == len(r.Lengths), a.back == a.ran
	if r.Saved != a.saved {
		g.t.Fatalf("%d tokens are saved, want %d", r.Saved, a.saved)
	}
	if ended := whole || a.dropped && out; r.Idle() != ended || r.Done() != whole || r.Dropped() != a.dropped {
		g.t.Fatalf("of %d sequences %d ran and %d came back, dropped %v: idle %v, done %v, dropped %v",
			len(r.Lengths), a.ran, a.back, a.dropped, r.Idle(), r.Done(), r.Dropped())
	} else if !ended {
		return
	}
	for i, other := range g.order {
		if other == a {
			g.order = append(g.order[:i], g.order[i+1:]...)
			a.queue.Leave()
			break
		}
	}
}

// invariants checks the counters.
func (g *rig) invariants(t *rapid.T) {
	for _, q := range g.queues {
		tokens, waiting, requests := 0, 0, 0
		for _, a := range g.order {
			if a.queue != q {
				continue
			}
			requests++
			if a.dropped || a.ran == len(a.request.Lengths) {
				continue
			}
			waiting++
			cost, _ := tokensOf(a.request, a.ran, len(a.request.Lengths))
			tokens += cost
		}
		clients := 0
		for _, c := range q.named {
			clients += c.tokens
		}
		if q.tokens != tokens || clients != tokens || q.waiting != waiting || q.requests != requests {
			t.Fatalf("%d tokens of %d requests wait, and %d are there; the queue says %d, %d and %d",
				tokens, waiting, requests, q.tokens, q.waiting, q.requests)
		}
	}
}

// After any series of calls, every sequence of a request that is neither dropped nor expired has run once, in order, and
// the counters are right and come back to 0.
func TestEverythingRunsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newRig(t)
		t.Repeat(map[string]func(*rapid.T){
			"push": g.push, "push another": g.push, "drop": g.drop, "next": g.next, "next too": g.next, "done": g.done,
			"pass": func(t *rapid.T) { g.now += time.Duration(rapid.IntRange(1, 100).Draw(t, "time")) },
			"":     g.invariants,
		})
		g.drain()
	})
}

// drain runs everything that is left. It takes no more steps than there are sequences, with those in which time passes.
func (g *rig) drain() {
	steps := 10
	for _, a := range g.order {
		steps += 10 * len(a.request.Lengths)
	}
	for ; len(g.order) > 0; steps-- {
		if steps == 0 {
			g.t.Fatalf("%d requests never come to an end", len(g.order))
		}
		for len(g.running) > 0 {
			g.finish(0)
		}
		g.now += 100
		g.next(g.t)
	}
	g.invariants(g.t)
	for _, q := range g.queues {
		if q.ready.len() != 0 || q.clientClock.weights != 0 || q.requestClock.weights != 0 {
			g.t.Fatalf("an empty queue has %d clients, weights %g and %g", q.ready.len(), q.clientClock.weights, q.requestClock.weights)
		}
	}
	for _, d := range g.devices {
		if d.long != nil {
			g.t.Fatal("a long batch is left")
		}
		if d.Running() != 0 || d.runningTime != 0 {
			g.t.Fatalf("a device has %d batches and %g ns at the end", d.Running(), d.runningTime)
		}
	}
}

// Models that always want more share a device's time by weight, however long their batches take, and whether or not one of
// them had it alone before.
func TestModelsShareByWeight(t *testing.T) {
	limits := Limits{BatchTokens: 100, QueueTokens: 1000, Requests: 100}
	took := map[*Queue]time.Duration{}
	quick, slow := NewQueue(limits), NewQueue(limits)
	times := map[*Queue]time.Duration{quick: 7 * time.Millisecond, slow: 50 * time.Millisecond}
	d := NewDevice(DeviceConfig{Overlap: 2, Lead: 1})
	d.Attach(quick, 1)
	d.Attach(slow, 3)
	now := time.Duration(0)
	random := rand.New(rand.NewPCG(1, 1))
	push := func(q *Queue) {
		if err := q.Push(&Request{Lengths: []int32{100}}, now); err != nil {
			t.Fatal(err)
		}
	}
	run := func() {
		var b Batch
		if ok, _ := d.Next(&b, now); !ok {
			t.Fatal("nothing to run")
		}
		used := time.Duration(float64(times[b.Queue]) * (0.9 + 0.2*random.Float64()))
		now += used
		took[b.Queue] += used
		d.Done(&b, now)
	}
	for range 10 {
		push(quick)
		run()
	}
	clear(took)
	for range 3 {
		push(quick)
		push(slow)
	}
	for range 2000 {
		before := quick.Tokens()
		run()
		if quick.Tokens() < before {
			push(quick)
		} else {
			push(slow)
		}
	}
	if share := float64(took[slow]) / float64(took[slow]+took[quick]); share < 0.74 || share > 0.76 {
		t.Errorf("the model of weight 3 beside one of 1 got %.3f of the time, want 0.75", share)
	}
}

// A request of few documents does not wait until those of thousands are done, though they may be of the same client.
func TestSmallOvertakes(t *testing.T) {
	lengths := func(n int) []int32 {
		all := make([]int32, n)
		for i := range all {
			all[i] = 100
		}
		return all
	}
	for _, clients := range [][]string{{"", "", ""}, {"a", "b", "a"}, {"a", "b", "c"}} {
		q := NewQueue(Limits{BatchTokens: 4096, QueueTokens: 1 << 20, Requests: 10})
		d := NewDevice(DeviceConfig{Overlap: 1, Lead: 1})
		d.Attach(q, 1)
		var b Batch
		for _, client := range clients[:2] {
			if err := q.Push(&Request{Lengths: lengths(4096), Client: client}, 0); err != nil {
				t.Fatal(err)
			}
		}
		for range 7 {
			d.Next(&b, 0)
			d.Done(&b, 1)
		}
		small := &Request{Lengths: lengths(8), Client: clients[2]}
		if err := q.Push(small, 2); err != nil {
			t.Fatal(err)
		}
		d.Next(&b, 3)
		d.Done(&b, 4)
		if !small.Done() {
			t.Errorf("clients %q: eight documents behind two of 4,096 are not in the next batch", clients)
		}
	}
}

// Names that come once do not stay for ever, and forgetting them takes no work for each name that stays.
func TestForgetsClients(t *testing.T) {
	q := NewQueue(Limits{BatchTokens: 10, QueueTokens: 1 << 30, Requests: 1})
	d := NewDevice(DeviceConfig{Overlap: 1, Lead: 1})
	d.Attach(q, 1)
	var b Batch
	for i := range 10 * minIdleClients {
		if err := q.Push(&Request{Client: fmt.Sprint(i), Lengths: []int32{10}}, 0); err != nil {
			t.Fatal(err)
		}
		d.Next(&b, 0)
		d.Done(&b, 1)
	}
	if len(q.named) > minIdleClients {
		t.Errorf("%d clients are remembered, want at most %d", len(q.named), minIdleClients)
	}
}

// A client that sends too much leaves room for the others.
func TestRoomForOthers(t *testing.T) {
	q := NewQueue(Limits{BatchTokens: 100, QueueTokens: 9000, Requests: 1000})
	push := func(client string, tokens int32) error {
		return q.Push(&Request{Client: client, Lengths: []int32{tokens}}, 0)
	}
	fill := func(client string) (accepted int) {
		for push(client, 10) == nil {
			accepted += 10
		}
		return accepted
	}
	if alone := fill("a"); alone != 9000 {
		t.Errorf("the only client may have %d tokens waiting, want all 9000", alone)
	}
	q.Clear(func(*Request) {})
	if err := push("b", 10); err != nil { // from now on there are two
		t.Fatal(err)
	}
	q.Clear(func(*Request) {})
	for _, c := range []struct {
		client string
		want   int
	}{{"a", 8000}, {"b", 880}, {"a", 0}, {"c", 110}} { // 8/9 of the free tokens, and of the rest
		if got := fill(c.client); got < c.want-10 || got > c.want+10 {
			t.Errorf("client %q may have %d tokens, want about %d", c.client, got, c.want)
		}
	}
	var over *OverloadError
	if err := push("a", 1); !errors.As(err, &over) || over.Limit != "QueueTokens of one client" || over.Value <= over.Max {
		t.Errorf("refused with %v", err)
	}
}

// Reserved tokens count for other reservations until they are released, and not against requests that are pushed.
func TestReserve(t *testing.T) {
	q := NewQueue(Limits{BatchTokens: 10, QueueTokens: 100, Requests: 10})
	if err := q.Reserve("a", 500); err != nil {
		t.Fatalf("more than the limit while nothing waits: %v", err)
	}
	q.Release("a", 500)
	if err := q.Reserve("a", 60); err != nil {
		t.Fatal(err)
	}
	var overload *OverloadError
	if err := q.Reserve("b", 41); !errors.As(err, &overload) || overload.Value != 101 {
		t.Errorf("41 tokens beside 60 of 100: %v", err)
	}
	if err := q.Reserve("b", 40); err != nil {
		t.Errorf("40 tokens beside 60 of 100: %v", err)
	}
	if err := q.Full("c"); !errors.As(err, &overload) {
		t.Errorf("with all of it reserved: %v", err)
	}
	q.Release("a", 60)
	if err := q.Push(&Request{Client: "a", Lengths: []int32{70}}, 0); err != nil {
		t.Errorf("70 tokens where 60 were expected: %v", err)
	}
	q.Release("b", 40)
	if err := q.Push(&Request{Client: "b", Lengths: []int32{40}}, 0); !errors.As(err, &overload) {
		t.Errorf("40 tokens beside 70 that wait: %v", err)
	}
	if err := q.Full("c"); err != nil {
		t.Errorf("with 30 free: %v", err)
	}
}

// On a slow device batches have fewer tokens, so that they take no longer than a quarter of a second; but not below 512.
func TestSlowDevicesTakeLess(t *testing.T) {
	for _, test := range []struct {
		token time.Duration
		want  int
	}{{50 * time.Microsecond, 4096}, {100 * time.Microsecond, 2500}, {time.Millisecond, 512}} {
		q := NewQueue(Limits{BatchTokens: 4096, QueueTokens: 1 << 20, Requests: 10})
		d := NewDevice(DeviceConfig{Overlap: 1, Lead: 1})
		d.Attach(q, 1)
		push(t, q, &Request{Lengths: slices.Repeat([]int32{1}, 500_000)}, 0)
		var b Batch
		for now := time.Duration(0); now < 5*time.Second; {
			d.Next(&b, now)
			now += time.Duration(b.Tokens) * test.token
			d.Done(&b, now)
		}
		if b.Tokens < test.want-1 || b.Tokens > test.want {
			t.Errorf("with %v a token, a batch has %d, want %d", test.token, b.Tokens, test.want)
		}
	}
}
