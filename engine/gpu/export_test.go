package gpu

import (
	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cost"
)

// SetRate makes a backend believe that its device does so many operations a second.
func SetRate(b *Backend, rate float64) {
	p := b.session.pace
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unlimited, p.rate = false, rate
}

// Operations are the costs of a batch's pass.
func Operations(b *Backend, batch *backend.Batch) []cost.Operation { return operations(b.costs, batch) }

// Halves are the batches of a second try.
func Halves(batch *backend.Batch) []*backend.Batch { return halves(batch) }
