// Package target opens the systems that a sweep measures: the engine in this process, a server that runs already, and
// other runtimes, started on loopback. It must not know how they are measured.
package target

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/tools/sweep/peers"
	"github.com/metalrank/metalrank/weights"
)

// Target is a system that scores. Its methods may be called from several goroutines at once.
type Target interface {
	// Score returns scores in the order of the documents.
	Score(ctx context.Context, query string, documents []string) ([]float64, error)
	// Raw returns scores before the activation; ok is false if the system has none.
	Raw(ctx context.Context, query string, documents []string) (logits []float64, ok bool, err error)
	System() record.System
	Close() error
}

// Options name the system to open, and its settings. Fields that a kind of system doesn't use are ignored.
type Options struct {
	Name      string // one of Names
	Backend   string // of Embedded: one of engine.Backends
	Model     string // checkpoint folder; empty: the embedded model
	DType     string // one of experiments.DTypes
	MaxLength int    // tokens
	Instances int
	Batching  record.Batching
	Threads   int // of a peer

	URL, API, Key, ServedModel string // of HTTP: API is one of APIs
	Say                        func(format string, arguments ...any)
}

// Names returns the names of all targets.
func Names() []string { return append([]string{record.Embedded, record.HTTP}, peers.Names...) }

// Check returns an error for a name that isn't a target's, before anything is opened.
func Check(name string) error {
	if !slices.Contains(Names(), name) {
		return fmt.Errorf("no target %q: want one of %s", name, strings.Join(Names(), ", "))
	}
	return nil
}

// Open opens the system. The error says why it cannot run here. The caller closes the Target.
func Open(ctx context.Context, o Options) (Target, error) {
	switch {
	case o.Name == record.Embedded:
		return openEmbedded(ctx, o)
	case o.Name == record.HTTP:
		return openHTTP(o)
	case slices.Contains(peers.Names, o.Name):
		return openPeer(ctx, o)
	}
	return nil, Check(o.Name)
}

// Describe returns the system's description in a table, even if the system can't be opened.
func (o Options) Describe() record.System {
	s := record.System{
		Backend: o.Name, Device: "cpu", DType: o.DType, Model: o.Model, MaxLength: o.MaxLength, Instances: max(1, o.Instances),
	}
	switch o.Name {
	case record.Embedded:
		s.Kind, s.Backend, s.Device = record.Embedded, "metalrank", o.Backend
	case record.HTTP:
		s.Kind, s.Device, s.URL, s.DType, s.MaxLength = record.HTTP, "remote", o.URL, "", 0
	default:
		s.Kind, s.Device = record.Peer, peers.Device(o.Name)
	}
	return s
}

// hashWeights hashes names, types and bytes of all tensors, in the order of their names. The hash identifies the
// checkpoint, in whichever files it is.
func hashWeights(c *weights.Checkpoint) (string, error) {
	tensors := c.Tensors()
	slices.SortFunc(tensors, func(a, b weights.Tensor) int { return strings.Compare(a.Name, b.Name) })
	hash := sha256.New()
	for _, t := range tensors {
		hash.Write([]byte(t.Name + " " + t.StoredAs() + "\n"))
		for piece, err := range c.Pieces(t, 1<<20) {
			if err != nil {
				return "", err
			}
			hash.Write(piece.Bytes())
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
