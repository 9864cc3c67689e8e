package httpapi

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// budget bounds the memory of the bodies of all requests in flight: as received, as decompressed, and as decoded texts.
// Large requests may not have all of it, so that they never keep small ones out. Requests that do not fit wait in order
// of arrival. Slow uploads of large bodies are evicted to make room for them.
type budget struct {
	all, large int64 // bytes
	trimmer    *trimmer

	mu      sync.Mutex
	used    int64                    // guarded by mu; bytes
	waiters []*budgetWaiter          // guarded by mu; in the order of their arrival
	uploads map[*reservation]*upload // guarded by mu; those of large bodies, which can be evicted
}

const (
	// smallReservation is the most bytes that a small request has.
	smallReservation = 256 << 10
	// budgetWait is how long a request waits for a part of the budget.
	budgetWait = 500 * time.Millisecond
	// budgetLook is how often a waiting request looks for slow uploads.
	budgetLook = 100 * time.Millisecond
	// slowAfter is the age from which an upload may count as slow. It does if, at its speed, it would need more than
	// slowRest for the rest.
	slowAfter = 250 * time.Millisecond
	slowRest  = time.Second
)

// newBudget returns a budget with room for the largest body three times: packed, unpacked, and as texts.
func newBudget(maxBodyBytes int, trimmer *trimmer) *budget {
	all := max(64<<20, 6*int64(maxBodyBytes))
	return &budget{all: all, large: all / 4 * 3, trimmer: trimmer, uploads: map[*reservation]*upload{}}
}

// reservation is a request's part of the budget. It is used by one goroutine at a time.
type reservation struct {
	*budget
	client  *client // nil: there are no keys
	bytes   int64   // guarded by the budget's mu
	evicted bool    // guarded by the budget's mu; its upload was evicted
}

type budgetWaiter struct {
	*reservation
	bytes   int64
	granted chan struct{}
}

// upload is the progress of a body that is being received.
type upload struct {
	begun    time.Time
	whole    int // bytes
	received interface{ len() int }
	conn     interface{ SetReadDeadline(time.Time) error }
}

// take takes more bytes. If they are not free, it waits for budgetWait at most, and then fails.
func (r *reservation) take(bytes int64) *failure {
	r.mu.Lock()
	if r.fits(bytes) {
		r.add(bytes)
		r.mu.Unlock()
		return nil
	}
	w := &budgetWaiter{r, bytes, make(chan struct{})}
	r.waiters = append(r.waiters, w)
	r.evict(time.Now())
	r.mu.Unlock()
	return w.wait()
}

func (w *budgetWaiter) wait() *failure {
	look, end := time.NewTicker(budgetLook), time.NewTimer(budgetWait)
	defer look.Stop()
	defer end.Stop()
	for {
		select {
		case <-w.granted:
			return nil
		case now := <-look.C:
			w.mu.Lock()
			w.evict(now)
			w.mu.Unlock()
		case <-end.C:
			return w.giveUp()
		}
	}
}

// giveUp ends the wait and refuses the request, unless the bytes have been granted meanwhile.
func (w *budgetWaiter) giveUp() *failure {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := slices.Index(w.waiters, w)
	if at < 0 {
		return nil
	}
	w.waiters = slices.Delete(w.waiters, at, at+1)
	return failf(kindOverloaded, "the server is overloaded: bodies of requests under way have %d bytes of memory, the limit is %d",
		w.used, w.all)
}

// fits tells whether a reservation may have so many more bytes now. The caller holds mu.
func (r *reservation) fits(bytes int64) bool {
	if r.bytes+bytes <= smallReservation {
		return r.used+bytes <= r.all
	}
	if r.client != nil && r.client.bytes > r.bytes && r.client.bytes+bytes > r.large/2 {
		return false // leaves room for other clients
	}
	return r.used+bytes <= r.large
}

// add counts bytes that a reservation takes, or gives back if negative. The caller holds mu.
func (r *reservation) add(bytes int64) {
	r.bytes += bytes
	r.used += bytes
	r.trimmer.add(bytes)
	if r.client != nil {
		r.client.bytes += bytes
	}
}

// keep gives back all but so many bytes, and grants the room to waiting requests.
func (r *reservation) keep(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bytes <= bytes {
		return
	}
	r.add(bytes - r.bytes)
	r.waiters = slices.DeleteFunc(r.waiters, func(w *budgetWaiter) bool {
		if !w.fits(w.bytes) {
			return false
		}
		w.add(w.bytes)
		close(w.granted)
		return true
	})
}

// receiving registers the upload of the body; nil removes it.
func (r *reservation) receiving(u *upload) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u == nil {
		delete(r.uploads, r)
		return
	}
	r.uploads[r] = u
}

// wasEvicted tells whether the upload was evicted.
func (r *reservation) wasEvicted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.evicted
}

// evict ends the slowest upload, if that one is slow. Waiting requests call it. The caller holds mu.
func (b *budget) evict(now time.Time) {
	var (
		slowest *reservation
		longest = slowRest
	)
	for r, u := range b.uploads {
		took, received := now.Sub(u.begun), u.received.len()
		if took < slowAfter || r.evicted || r.bytes <= smallReservation {
			continue
		}
		if rest := time.Duration(float64(took) * float64(u.whole-received) / float64(max(1, received))); rest > longest {
			slowest, longest = r, rest
		}
	}
	if slowest != nil {
		slowest.evicted = true
		_ = b.uploads[slowest].conn.SetReadDeadline(time.Unix(1, 0)) // on an error the upload goes on
	}
}

// slots bound the number of requests in flight. The zero value is free.
type slots struct{ used atomic.Int64 }

// acquire takes a slot, unless limit are taken.
func (p *slots) acquire(limit int) bool {
	for {
		taken := p.used.Load()
		if taken >= int64(limit) {
			return false
		}
		if p.used.CompareAndSwap(taken, taken+1) {
			return true
		}
	}
}

func (p *slots) release() { p.used.Add(-1) }
