package schedule

import (
	"cmp"
	"time"
)

// Device is what runs batches: one after another, though the next may be handed over while one runs.
type Device struct {
	config  DeviceConfig
	models  ring[*seat]
	on      *seat // the model of what runs
	running int
	batches uint64
	last    time.Duration // when a batch was done last
	// As far as the rate of late tells: the time that all running batches take, the time that the newest of them takes,
	// and when they should be done.
	ahead, newest float64
	end           time.Duration
}

// DeviceConfig says how batches overlap.
type DeviceConfig struct {
	// Overlap is how many batches may be handed over and not done, at least 1: while one runs the next is packed.
	Overlap int
	// Lead is how long before the end of what runs the next is handed over, as a part of the time of what runs. Earlier
	// is no use to the device, and what arrives later must wait for it. 1 or more: at once.
	Lead float64
}

// DefaultDevice is chosen by simulation (RATIONALE.md, "Scheduling").
func DefaultDevice() DeviceConfig { return DeviceConfig{Overlap: 2, Lead: 0.2} }

// seat is a model's place on a device.
type seat struct {
	share  share[*seat]
	device *Device
	queue  *Queue
	paused bool
	// Sums that decay, so that their ratio is the time of a token of late.
	time, tokens float64
}

// modelQuantum is the device time of a model's turn.
const modelQuantum = 20 * time.Millisecond

// decay is how much of a seat's sums is left after a batch: about ten batches count.
const decay = 0.9

// NewDevice returns a device without models.
func NewDevice(config DeviceConfig) *Device {
	d := &Device{config: config}
	quantum := float64(modelQuantum)
	d.models.config = ringConfig{total: quantum, least: quantum, first: quantum, newcomers: quantum}
	return d
}

// Attach lets a device run a queue's requests. Weight is how much more of the device's time than others the model gets;
// 0: 1.
func (d *Device) Attach(q *Queue, weight float64) {
	s := &seat{device: d, queue: q}
	s.share.owner, s.share.weight = s, cmp.Or(weight, 1)
	q.seats = append(q.seats, s)
	if q.waiting > 0 {
		d.models.join(&s.share, float64(modelQuantum))
	}
}

// Detach undoes Attach. What runs goes on.
func (d *Device) Detach(q *Queue) {
	for i, s := range q.seats {
		if s.device == d {
			d.models.leave(&s.share)
			q.seats = append(q.seats[:i], q.seats[i+1:]...)
			return
		}
	}
}

// Pause keeps a device from a queue's requests, or lets it have them again.
func (d *Device) Pause(q *Queue, pause bool) {
	for _, s := range q.seats {
		if s.device == d {
			s.paused = pause
		}
	}
}

// Running is how many batches are handed over and not done.
func (d *Device) Running() int { return d.running }

// Next fills b with what d should run, and says whether there is anything. If not, and nothing else happens, it should be
// asked again at the time it returns, unless that is 0. Whoever has b calls Done when it has run. b.Expired may have
// requests in either case.
func (d *Device) Next(b *Batch, now time.Duration) (ok bool, again time.Duration) {
	b.reset()
	if d.running >= d.config.Overlap {
		return false, 0
	}
	if at := d.end - time.Duration(d.config.Lead*d.newest); d.running > 0 && d.config.Lead < 1 && at > now {
		return false, at
	}
	for {
		s := d.models.first(func(s *seat) bool {
			due := s.due()
			if due > now && (again == 0 || due < again) {
				again = due
			}
			return !s.paused && due <= now
		})
		if s == nil {
			return false, again
		}
		if d.running > 0 && s.owner != d.on {
			return false, 0 // batches of two models at once would each seem to take the other's time, too
		}
		d.models.reach(s)
		if d.start(b, s.owner, now); b.Sequences > 0 {
			return true, 0
		}
	}
}

// due is when the seat's queue has waited long enough for a batch.
func (s *seat) due() time.Duration {
	l := &s.queue.limits
	if l.MaxWait == 0 || s.queue.tokens >= l.BatchTokens {
		return 0
	}
	return s.queue.since + l.MaxWait
}

func (d *Device) start(b *Batch, s *seat, now time.Duration) {
	b.ID = d.batches + 1
	s.queue.take(b, now)
	if b.Sequences == 0 {
		return // all had expired
	}
	d.batches++
	d.running++
	b.seat, d.on = s, s
	b.charged = float64(b.Tokens) * s.perToken()
	d.models.charge(&s.share, b.charged)
	d.newest = b.charged
	d.ahead += d.newest
	d.end = max(d.end, now) + time.Duration(d.newest)
}

// Done says that a batch has run, or failed. It returns how long the device had it: from when it began, or the batch
// before it was done.
func (d *Device) Done(b *Batch, now time.Duration) time.Duration {
	for _, span := range b.Spans {
		r, n := span.Request, span.To-span.From
		r.running -= n
		r.done += n
		if r.state == queued && r.Done() {
			r.state = idle
		}
	}
	used := now - max(b.started, d.last)
	s := b.seat
	d.models.charge(&s.share, float64(used)-b.charged)
	s.time = decay*s.time + float64(used)
	s.tokens = decay*s.tokens + float64(b.Tokens)
	d.last = now
	d.ahead -= b.charged
	if d.running--; d.running == 0 {
		d.ahead = 0 // and not what rounding left
	}
	d.end = now + time.Duration(d.ahead)
	return used
}

// perToken is the time of a token of late, in nanoseconds; 0 at first.
func (s *seat) perToken() float64 {
	if s.tokens == 0 {
		return 0
	}
	return s.time / s.tokens
}

// rate is the tokens a nanosecond that the device gives the model, while other models wait that wait now.
func (s *seat) rate() float64 {
	cost := s.perToken()
	if cost == 0 {
		return 0
	}
	all := s.device.models.weight
	if !s.share.joined() {
		all += s.share.weight
	}
	return s.share.weight / all / cost
}
