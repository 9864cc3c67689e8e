package schedule

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Device runs batches, one after another. The next may be handed over while one runs.
type Device struct {
	config       DeviceConfig
	attachments  []*attachment
	pace         fit         // of all models, with work in floating-point operations
	clock        float64     // attachment.served of the model that was served last
	runningModel *attachment // the model of the running batch
	running      int
	batches      uint64
	last         time.Duration // when a batch was done last
	// Estimates from the time of recent batches: the time that all running batches take, when they should be done, and how
	// long before that the next is handed over.
	runningTime float64
	runningEnd  time.Duration
	lead        time.Duration
	// A long batch that runs, when it had the device for itself first, and the time of batches beside it since.
	long       *Batch
	longBegan  time.Duration
	besideTime time.Duration
	asked      uint64 // calls of Next
}

// DeviceConfig says how batches overlap.
type DeviceConfig struct {
	// Overlap is how many batches may be handed over and not done, at least 1: while one runs the next is packed.
	Overlap int
	// Lead is how long before the end of the running batch the next is handed over, as a part of the time of a full batch.
	// Earlier doesn't help the device, and delays requests that arrive later. 1 or more: at once.
	Lead float64
}

// DefaultDevice is chosen by simulation (RATIONALE.md, "Scheduling").
func DefaultDevice() DeviceConfig { return DeviceConfig{Overlap: 2, Lead: 0.25} }

// attachment is a model's place on a device. Models take the device in turn, batch by batch: next is the one that has
// had the least of its time by weight (start-time fair queueing: Goyal, Vin and Cheng, 1996).
type attachment struct {
	device    *Device
	queue     *Queue
	weight    float64
	served    float64 // device time that it has had, by weight; no less than the clock of the device when it began to wait
	paused    bool
	batchTime fit
	asked     uint64 // the last Device.asked that looked here for a batch to run beside a long one
}

// fit is a line through the work and the time of recent batches, by least squares. Its sums decay, so that about twenty
// batches count.
type fit struct{ n, x, y, xx, xy float64 }

const fitDecay = 0.95

func (f *fit) add(x, y float64) {
	f.n, f.x, f.y = fitDecay*f.n+1, fitDecay*f.x+x, fitDecay*f.y+y
	f.xx, f.xy = fitDecay*f.xx+x*x, fitDecay*f.xy+x*y
}

// at is the time of a batch of some work, in nanoseconds; 0 at first.
func (f *fit) at(x float64) float64 {
	if f.x == 0 {
		return 0
	}
	spread := f.n*f.xx - f.x*f.x
	slope := (f.n*f.xy - f.x*f.y) / spread
	if spread > 0.01*f.x*f.x && slope > 0 && slope*f.x < f.y {
		return (f.y-slope*f.x)/f.n + slope*x
	}
	return f.y / f.x * x
}

// NewDevice returns a device without models.
func NewDevice(config DeviceConfig) *Device { return &Device{config: config} }

// Attach lets a device run a queue's requests. Weight is how much more of the device's time than others the model gets;
// 0: 1.
func (d *Device) Attach(q *Queue, weight float64) {
	a := &attachment{device: d, queue: q, weight: cmp.Or(weight, 1), served: d.clock}
	d.attachments = append(d.attachments, a)
	q.attachments = append(q.attachments, a)
}

// Detach undoes Attach. Running batches go on.
func (d *Device) Detach(q *Queue) {
	d.attachments = slices.DeleteFunc(d.attachments, func(a *attachment) bool { return a.queue == q })
	q.attachments = slices.DeleteFunc(q.attachments, func(a *attachment) bool { return a.device == d })
}

// Pause stops a device from taking a queue's requests, or lets it take them again.
func (d *Device) Pause(q *Queue, pause bool) {
	for _, a := range q.attachments {
		if a.device == d {
			a.paused = pause
		}
	}
}

// Running is how many batches are handed over and not done.
func (d *Device) Running() int { return d.running }

// Next fills b with the batch that d should run, and says whether there is one. If not, and nothing else happens, the
// caller should ask again at the returned time, unless that is 0. The caller calls Done when b has run. b.Expired may have
// requests in either case. While a long batch runs, b is one of short sequences, of any model, that runs beside it.
func (d *Device) Next(b *Batch, now time.Duration) (ok bool, again time.Duration) {
	clear(b.Spans) // a batch that is kept must not keep requests
	clear(b.Expired)
	*b = Batch{Spans: b.Spans[:0], Expired: b.Expired[:0], ID: d.batches + 1, Began: now}
	if d.running >= d.config.Overlap {
		return false, 0
	}
	beside := d.long != nil
	if at := d.runningEnd - d.lead; d.running > 0 && !beside && d.config.Lead < 1 && at > now {
		return false, at
	}
	d.asked++
	var next *attachment
	for b.Sequences == 0 { // all of a model's requests may have expired, or be too long to run beside another
		next = nil
		for _, a := range d.attachments {
			switch due := a.queue.since + a.queue.limits.MaxWait; {
			case a.queue.waiting == 0 || a.paused || a.asked == d.asked:
			case due > now && a.queue.tokens < a.batchTokens():
				again = min(cmp.Or(again, due), due)
			case next == nil || a.served < next.served:
				next = a
			}
		}
		if next == nil {
			return false, again
		}
		most := math.Inf(1)
		if beside {
			most, next.asked = next.besideWork(), d.asked
		} else if d.running > 0 && next != d.runningModel {
			return false, 0 // of overlapping batches of two models, each would seem to take the other's time, too
		}
		next.queue.take(b, next.batchTokens(), most)
	}
	d.batches++
	d.running++
	b.attachment, b.Beside = next, beside
	b.charged = next.timeOf(b.Work)
	d.clock = next.served
	next.served += b.charged / next.weight
	d.runningTime += b.charged
	d.runningEnd = max(d.runningEnd, now) + time.Duration(b.charged)
	if beside {
		return true, 0
	}
	d.runningModel, d.lead = next, time.Duration(d.config.Lead*next.fullBatch())
	if next.isLong(b) {
		d.long, d.longBegan, d.besideTime = b, now, 0
	}
	return true, 0
}

// Done says that a batch has run, or failed. It returns how long the device had it: from its beginning or the end of the
// batch before it, the later of the two, without the time of batches beside it.
func (d *Device) Done(b *Batch, now time.Duration) time.Duration {
	for _, span := range b.Spans {
		r, n := span.Request, span.To-span.From
		r.done += n
		if r.state == queued && r.Done() {
			r.state = idle
		}
	}
	used, learn := now-max(b.Began, d.last), !b.Aborted
	switch {
	case b == d.long:
		used = max(now-max(b.Began, d.longBegan)-d.besideTime, 0)
		learn = learn && d.besideTime == 0
		d.long = nil
	case b.Beside: // some of the time was the long one's
		d.besideTime += used
		learn = false
	case d.long != nil: // which was handed over early
		d.longBegan = now
	}
	a := b.attachment
	a.served += (float64(used) - b.charged) / a.weight
	if learn {
		a.batchTime.add(b.Work, float64(used))
		if unit := a.queue.limits.Unit; unit > 0 {
			d.pace.add(b.Work*unit, float64(used))
		}
	}
	d.last = now
	d.runningTime -= b.charged
	if d.running--; d.running == 0 {
		d.runningTime = 0 // without rounding errors
	}
	d.runningEnd = now + time.Duration(d.runningTime)
	return used
}

// A batch should take no longer than longestBatch, as requests that arrive while it runs wait for it. It may have
// leastTokens in any case: smaller batches make no device quicker.
const (
	longestBatch = 250 * time.Millisecond
	leastTokens  = 512
)

// isLong says whether others should run beside a batch: one sequence that is expected to take twice as long as a batch
// should, or that has more tokens than a batch while no time is known.
func (a *attachment) isLong(b *Batch) bool {
	if b.charged == 0 {
		return b.Sequences == 1 && b.Tokens > max(a.queue.limits.BatchTokens, leastTokens)
	}
	return b.Sequences == 1 && b.charged > 2*float64(longestBatch)
}

// besideWork is the work that a batch beside a long one may have: that of longestBatch.
func (a *attachment) besideWork() float64 {
	limit := float64(a.queue.limits.BatchTokens)
	if full := a.fullBatch(); full > 0 {
		return limit * float64(longestBatch) / full
	}
	return max(limit, leastTokens)
}

// batchTokens is how many tokens a batch may have, at most the limit.
func (a *attachment) batchTokens() int {
	limit := float64(a.queue.limits.BatchTokens)
	return int(min(limit, max(leastTokens, limit*float64(longestBatch)/a.fullBatch())))
}

// timeOf is the time of a batch of some work, in nanoseconds: by those of the model, or else of all models; 0 without any.
func (a *attachment) timeOf(work float64) float64 {
	if a.batchTime.n > 0 {
		return a.batchTime.at(work)
	}
	return a.device.pace.at(work * a.queue.limits.Unit)
}

// fullBatch is the time of a batch that is full, in nanoseconds; 0 at first.
func (a *attachment) fullBatch() float64 { return a.timeOf(float64(a.queue.limits.BatchTokens)) }

// rate is the work a nanosecond that the device does in full batches of the model, shared with the models that wait now.
func (a *attachment) rate() float64 {
	full := a.fullBatch()
	if full == 0 {
		return 0
	}
	all := 0.
	for _, other := range a.device.attachments {
		if other.queue.waiting > 0 || other == a {
			all += other.weight
		}
	}
	return a.weight / all * float64(a.queue.limits.BatchTokens) / full
}
