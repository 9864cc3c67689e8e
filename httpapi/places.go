package httpapi

import "sync/atomic"

// places bounds the number of requests in flight. The zero value is free.
type places struct{ taken atomic.Int64 }

// take takes a place, unless limit are taken.
func (p *places) take(limit int) bool {
	for {
		taken := p.taken.Load()
		if taken >= int64(limit) {
			return false
		}
		if p.taken.CompareAndSwap(taken, taken+1) {
			return true
		}
	}
}

func (p *places) give() { p.taken.Add(-1) }
