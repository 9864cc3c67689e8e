package simulate

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/metalrank/metalrank/engine/schedule"
)

// Report is the result of a run.
type Report struct {
	Duration time.Duration
	// Requests is how many came. Each was Refused, or Accepted and then one of Answered, Cancelled and Expired.
	Requests, Refused, Accepted, Answered, Cancelled, Expired int
	// Late is how many of Answered missed their deadline.
	Late int
	// Offered is the work that came, in full batches' time, as a part of the devices' capacity in Duration.
	Offered float64
	// Wasted is how many of Tokens were of requests that were not answered.
	Tokens, Wasted int64
	Latency        Quantiles // in ns, of all that were answered
	Classes        []ClassReport
	// Beside is of requests of the smallest class that came while one of the largest was there.
	Beside  ClassReport
	Models  []ShareReport
	Clients map[string]*ShareReport
	Devices []DeviceReport

	config  *Config
	offered float64 // ns
}

// ClassReport is of the requests with a number of documents in a range.
type ClassReport struct {
	Name     string
	Answered int
	Latency  Quantiles // in ns
	// Batches is the latency as a multiple of a full batch's time, and Slowdown as one of the request's time alone; both in
	// hundredths.
	Batches, Slowdown Quantiles
}

// ShareReport is the share of a model, or of a client of any model.
type ShareReport struct {
	Name                                string
	Requests, Refused, Answered, Tokens int64
	DeviceTime                          time.Duration
	Latency                             Quantiles // in ns
}

// DeviceReport is the work of a device.
type DeviceReport struct {
	// Busy is how long it ran batches, and WithWork how long it had, or could have had, any.
	Busy, WithWork    time.Duration
	Batches           int
	Sequences, Tokens int64
	fill              float64
}

// Fill is how full the batches were on average, of the limit.
func (d *DeviceReport) Fill() float64 { return d.fill / float64(max(d.Batches, 1)) }

// Utilisation is the part of the time with work in which devices were busy.
func (r *Report) Utilisation() float64 {
	all := r.Device()
	return float64(all.Busy) / float64(max(all.WithWork, 1))
}

// Device is the sum of Devices.
func (r *Report) Device() DeviceReport {
	var all DeviceReport
	for _, d := range r.Devices {
		all.Busy += d.Busy
		all.WithWork += d.WithWork
		all.Batches += d.Batches
		all.Sequences += d.Sequences
		all.Tokens += d.Tokens
		all.fill += d.fill
	}
	return all
}

// classes are by number of documents: at most most, and more than the class before.
var classes = []struct {
	name string
	most int
}{{"≤ 8", 8}, {"9–128", 128}, {"129–1,024", 1024}, {"> 1,024", 1 << 62}}

func classOf(r *Request) int {
	i := 0
	for len(r.Lengths) > classes[i].most {
		i++
	}
	return i
}

// Quantiles is a histogram with a relative error of 1 %, in a few KB however many values there are.
type Quantiles struct{ histogram *hdrhistogram.Histogram }

func (q *Quantiles) add(v int64) {
	if q.histogram == nil {
		q.histogram = hdrhistogram.New(1, int64(30*24*time.Hour), 3)
	}
	// No value is above: a run would have to last for a month.
	_ = q.histogram.RecordValue(max(v, 1))
}

// At returns the p-quantile, p from 0 to 1; 0 without values.
func (q *Quantiles) At(p float64) int64 {
	if q.histogram == nil {
		return 0
	}
	return q.histogram.ValueAtQuantile(100 * p)
}

func newReport(c *Config) *Report {
	r := &Report{config: c, Clients: map[string]*ShareReport{}}
	for _, class := range classes {
		r.Classes = append(r.Classes, ClassReport{Name: class.name})
	}
	r.Beside.Name = classes[0].name + " beside " + classes[len(classes)-1].name
	for _, m := range c.Models {
		r.Models = append(r.Models, ShareReport{Name: m.Name})
	}
	return r
}

func (r *Report) arrived(q *Request) {
	r.Requests++
	c := &r.config.Models[q.Model]
	r.offered += float64(q.tokens) / c.Cost.Rate(c.Limits.BatchTokens) * 1e9
	r.client(q).Requests++
	r.Models[q.Model].Requests++
}

func (r *Report) refused(q *Request) {
	r.Refused++
	r.client(q).Refused++
	r.Models[q.Model].Refused++
}

func (r *Report) cancelled(q *Request) {
	r.Cancelled++
	r.Wasted += q.ran
}

func (r *Report) expired(q *Request) {
	r.Expired++
	r.Wasted += q.ran
}

func (r *Report) answered(q *Request, now time.Duration) {
	r.Answered++
	if q.Deadline > 0 && now > q.Deadline {
		r.Late++
	}
	took := int64(now - q.At)
	r.Latency.add(took)
	m := &r.config.Models[q.Model]
	batches := 100 * took / int64(m.Cost.FullBatch(m.Limits.BatchTokens))
	slowdown := 100 * took / int64(max(m.Cost.alone(q, m.Limits.BatchTokens), 1))
	into := []*ClassReport{&r.Classes[classOf(q)]}
	if q.beside && classOf(q) == 0 {
		into = append(into, &r.Beside)
	}
	for _, c := range into {
		c.Answered++
		c.Latency.add(took)
		c.Batches.add(batches)
		c.Slowdown.add(slowdown)
	}
	for _, s := range []*ShareReport{r.client(q), &r.Models[q.Model]} {
		s.Answered++
		s.Latency.add(took)
	}
}

// ran adds a batch to the reports of its clients and model.
func (r *Report) ran(b *schedule.Batch, m int, took time.Duration) {
	r.Tokens += int64(b.Tokens)
	r.Models[m].Tokens += int64(b.Tokens)
	r.Models[m].DeviceTime += took
	for _, span := range b.Spans {
		q := owner(span.Request)
		tokens := int64(0)
		for _, n := range q.Lengths[span.From:span.To] {
			tokens += int64(n)
		}
		if q.ran += tokens; q.ended {
			r.Wasted += tokens
		}
		r.client(q).Tokens += tokens
	}
}

// maxClients is how many clients have a report of their own; the others share one.
const maxClients = 1000

func (r *Report) client(q *Request) *ShareReport {
	c := r.Clients[q.Client]
	if c == nil {
		name := q.Client
		if len(r.Clients) >= maxClients {
			name = "others"
		}
		if c = r.Clients[name]; c == nil {
			c = &ShareReport{Name: name}
			r.Clients[name] = c
		}
	}
	return c
}

func (d *DeviceReport) add(b *schedule.Batch, took time.Duration, limit int) {
	d.Busy += took
	d.Batches++
	d.Sequences += int64(b.Sequences)
	d.Tokens += int64(b.Tokens)
	d.fill += float64(b.Tokens) / float64(limit)
}

// close sets the fields that are known only at the end.
func (r *Report) close(now time.Duration, devices []device) {
	r.Duration = now
	r.Accepted = r.Requests - r.Refused
	speed := 0.
	for i := range devices {
		r.Devices = append(r.Devices, devices[i].report)
		speed += devices[i].Speed
	}
	r.Offered = r.offered / (float64(max(now, 1)) * speed)
}
