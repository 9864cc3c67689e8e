package simulate

import (
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"time"
)

// Synthetic is a trace made up from a seed, request by request, so that a long one needs no memory.
type Synthetic struct {
	Seed uint64
	// Until is when the last request may come.
	Until   time.Duration
	Streams []Stream
}

// Stream is requests of one kind.
type Stream struct {
	Model int
	// Rate is requests a second, on average. They come independently of each other: the times between them are exponential.
	Rate float64
	// On and Off, if set, are the mean lengths of bursts and of the pauses between them, exponential too. All requests come
	// in bursts, and Rate stays the average.
	On, Off time.Duration
	// Daily makes the rate rise and fall with the time of day, between 0.2 and 1.8 of Rate.
	Daily     bool
	Documents []Part
	Lengths   Lengths
	// Clients is the number of clients; their names begin with Client.
	Clients int
	Client  string
	// Closed makes each client send its next request when the last is answered, as a program with so many threads does. Rate
	// is of no use then. A stream that is closed is the only one of its trace.
	Closed bool
	// ClientWeight is the weight of each client.
	ClientWeight float64
	// Deadline, if not 0, is the time from a request's arrival until its answer is of no use.
	Deadline time.Duration
	// Cancels is the part of requests that clients give up, after Patience on average, exponential.
	Cancels  float64
	Patience time.Duration
}

// Part is a part of a stream's requests: with Least to Most documents, the logarithm of the number uniform.
type Part struct {
	Of          float64 // the parts of a stream add up to 1
	Least, Most int
}

// Lengths are of sequences, query and document: log-normal about a median, within bounds, and Fixed more.
type Lengths struct {
	Median, Spread, Least, Most float64
	Fixed                       int
}

// Passages are pairs as in MS MARCO: about 75 tokens of passage, 8 of query and 3 special ones.
func Passages() Lengths { return Lengths{Median: 75, Spread: 0.45, Least: 15, Most: 250, Fixed: 11} }

// quantiles is how many lengths a stream draws from.
const quantiles = 1 << 12

// table returns equally likely lengths.
func (l Lengths) table() []int32 {
	table := make([]int32, quantiles)
	for i := range table {
		normal := math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/quantiles-1)
		table[i] = int32(l.Fixed) + int32(math.Round(min(max(l.Median*math.Exp(l.Spread*normal), l.Least), l.Most)))
	}
	return table
}

func (l Lengths) mean() float64 {
	sum := 0.
	for _, n := range l.table() {
		sum += float64(n)
	}
	return sum / quantiles
}

// mean is the mean number of documents: that of exp(x), x uniform, rounded down, to within the rounding of the last term.
func (p Part) mean() float64 {
	least, most := float64(p.Least), float64(p.Most+1)
	sum := 0.
	for n := least; n < most; n++ {
		sum += n * math.Log((n+1)/n)
	}
	return sum / math.Log(most/least)
}

// Tokens is how many tokens a request of the stream has, on average.
func (s *Stream) Tokens() float64 {
	documents := 0.
	for _, p := range s.Documents {
		documents += p.Of * p.mean()
	}
	return documents * s.Lengths.mean()
}

// arrivals is the state of a stream.
type arrivals struct {
	*Stream
	random  *rand.Rand
	lengths []int32
	clients []string
	next    time.Duration
	burst   time.Duration // left of the burst, from next
	idle    []idle        // clients of a closed stream that are to send next, in order
}

type idle struct {
	client string
	since  time.Duration
}

type synthetic struct {
	until   time.Duration
	streams []*arrivals
}

// Trace returns the trace from its beginning.
func (s *Synthetic) Trace() Trace {
	t := &synthetic{until: s.Until}
	for i := range s.Streams {
		a := &arrivals{Stream: &s.Streams[i], random: rand.New(rand.NewPCG(s.Seed, uint64(i)))}
		a.lengths = a.Lengths.table()
		for j := range max(a.Clients, 1) {
			a.clients = append(a.clients, a.Client+strconv.Itoa(j+1))
		}
		if a.Closed {
			for _, c := range a.clients {
				a.idle = append(a.idle, idle{client: c})
			}
		} else {
			a.advance()
		}
		t.streams = append(t.streams, a)
	}
	return t
}

// advance finds the time of the next request.
func (a *arrivals) advance() {
	for {
		peak := a.Rate
		if a.Daily {
			peak *= 1.8
		}
		if a.On > 0 {
			peak *= float64(a.On+a.Off) / float64(a.On)
		}
		wait := a.exponential(time.Duration(float64(time.Second) / peak))
		a.next += wait
		if a.On > 0 {
			for a.burst < wait { // it ends before: the rest of the wait is in a later one
				wait -= a.burst
				a.next += a.exponential(a.Off)
				a.burst = a.exponential(a.On)
			}
			a.burst -= wait
		}
		if !a.Daily || a.random.Float64()*1.8 < 1-0.8*math.Cos(2*math.Pi*a.next.Hours()/24) {
			return
		}
	}
}

func (a *arrivals) exponential(mean time.Duration) time.Duration {
	return time.Duration(a.random.ExpFloat64() * float64(mean))
}

// Next implements Trace.
func (t *synthetic) Next(r *Request) error {
	a := t.streams[0]
	for _, other := range t.streams[1:] {
		if other.next < a.next {
			a = other
		}
	}
	if a.Closed {
		return t.nextClosed(a, r)
	}
	if a.next > t.until {
		return io.EOF
	}
	a.fill(r, a.clients[a.random.IntN(len(a.clients))])
	a.advance()
	return nil
}

// nextClosed returns io.EOF while no client may send: there is more when one has its answer.
func (t *synthetic) nextClosed(a *arrivals, r *Request) error {
	if len(a.idle) == 0 || a.idle[0].since > t.until {
		return io.EOF
	}
	a.next = a.idle[0].since
	a.fill(r, a.idle[0].client)
	a.idle = a.idle[1:]
	return nil
}

func (t *synthetic) answered(r *Request, now time.Duration) {
	if a := t.streams[0]; a.Closed {
		a.idle = append(a.idle, idle{r.Client, now})
	}
}

func (a *arrivals) fill(r *Request, client string) {
	r.At, r.Model = a.next, a.Model
	r.Client, r.ClientWeight = client, a.ClientWeight
	if a.Deadline > 0 {
		r.Deadline = a.next + a.Deadline
	}
	if a.Cancels > 0 && a.random.Float64() < a.Cancels {
		r.CancelAfter = max(a.exponential(a.Patience), 1)
	}
	part, u := a.Stream.Documents[0], a.random.Float64()
	for _, p := range a.Stream.Documents {
		part = p
		if u -= p.Of; u < 0 {
			break
		}
	}
	n := part.Least
	if part.Most > part.Least {
		ratio := float64(part.Most+1) / float64(part.Least)
		n = min(int(float64(part.Least)*math.Pow(ratio, a.random.Float64())), part.Most)
	}
	var bits uint64
	for i := range n {
		if i%5 == 0 { // 64 bits choose five lengths
			bits = a.random.Uint64()
		}
		r.Lengths = append(r.Lengths, a.lengths[bits%quantiles])
		bits /= quantiles
	}
}
