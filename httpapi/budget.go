package httpapi

import (
	"slices"
	"sync"
	"time"
)

// budget bounds the memory of the bodies of all requests in flight: as received, as decompressed, and as decoded texts.
// Large requests may not have all of it, so that they never keep small ones out. Requests that do not fit wait in order
// of arrival. Slow readers of large bodies are evicted to make room for them.
type budget struct {
	all, large int64 // bytes
	trimmer    *trimmer

	mu      sync.Mutex
	used    int64              // guarded by mu; bytes
	waiters []*budgetWaiter    // guarded by mu; in the order of their arrival
	readers map[*share]*reader // guarded by mu; those of large bodies, which can be evicted
}

const (
	// smallShare is the most bytes that a small request has.
	smallShare = 256 << 10
	// budgetWait is how long a request waits for a part of the budget.
	budgetWait = 500 * time.Millisecond
	// budgetLook is how often a waiting request looks for slow readers.
	budgetLook = 100 * time.Millisecond
	// slowAfter is the age from which a reader may count as slow. It does if, at its speed, it would need more than
	// slowRest for the rest.
	slowAfter = 250 * time.Millisecond
	slowRest  = time.Second
)

// newBudget returns a budget with room for the largest body three times: packed, unpacked, and as texts.
func newBudget(maxBodyBytes int, trimmer *trimmer) *budget {
	all := max(64<<20, 6*int64(maxBodyBytes))
	return &budget{all: all, large: all / 4 * 3, trimmer: trimmer, readers: map[*share]*reader{}}
}

// share is a request's part of the budget. It is used by one goroutine at a time.
type share struct {
	*budget
	client  *client // nil: there are no keys
	bytes   int64   // guarded by the budget's mu
	evicted bool    // guarded by the budget's mu; its reader was evicted
}

type budgetWaiter struct {
	*share
	bytes   int64
	granted chan struct{}
}

// reader is the progress of a body that is being received.
type reader struct {
	begun    time.Time
	whole    int // bytes
	received interface{ len() int }
	conn     interface{ SetReadDeadline(time.Time) error }
}

// take takes more bytes. If they are not free, it waits for budgetWait at most, and then fails.
func (s *share) take(bytes int64) *failure {
	s.mu.Lock()
	if s.fits(bytes) {
		s.add(bytes)
		s.mu.Unlock()
		return nil
	}
	w := &budgetWaiter{s, bytes, make(chan struct{})}
	s.waiters = append(s.waiters, w)
	s.evict(time.Now())
	s.mu.Unlock()
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

// fits tells whether a share may have so many more bytes now. The caller holds mu.
func (s *share) fits(bytes int64) bool {
	if s.bytes+bytes <= smallShare {
		return s.used+bytes <= s.all
	}
	if s.client != nil && s.client.bytes > s.bytes && s.client.bytes+bytes > s.large/2 {
		return false // leaves room for other clients
	}
	return s.used+bytes <= s.large
}

// add counts bytes that a share takes, or gives back if negative. The caller holds mu.
func (s *share) add(bytes int64) {
	s.bytes += bytes
	s.used += bytes
	s.trimmer.add(bytes)
	if s.client != nil {
		s.client.bytes += bytes
	}
}

// keep gives back all but so many bytes, and grants the room to waiting requests.
func (s *share) keep(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes <= bytes {
		return
	}
	s.add(bytes - s.bytes)
	s.waiters = slices.DeleteFunc(s.waiters, func(w *budgetWaiter) bool {
		if !w.fits(w.bytes) {
			return false
		}
		w.add(w.bytes)
		close(w.granted)
		return true
	})
}

// reading registers the reader of the body; nil removes it.
func (s *share) reading(r *reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r == nil {
		delete(s.readers, s)
		return
	}
	s.readers[s] = r
}

// wasEvicted tells whether the reader was evicted.
func (s *share) wasEvicted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.evicted
}

// evict ends the slowest reader, if that one is slow. Waiting requests call it. The caller holds mu.
func (b *budget) evict(now time.Time) {
	var (
		slowest *share
		longest = slowRest
	)
	for s, r := range b.readers {
		took, received := now.Sub(r.begun), r.received.len()
		if took < slowAfter || s.evicted || s.bytes <= smallShare {
			continue
		}
		if rest := time.Duration(float64(took) * float64(r.whole-received) / float64(max(1, received))); rest > longest {
			slowest, longest = s, rest
		}
	}
	if slowest != nil {
		slowest.evicted = true
		_ = b.readers[slowest].conn.SetReadDeadline(time.Unix(1, 0)) // on an error the reader goes on
	}
}
