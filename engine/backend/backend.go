// Package backend is the contract between engine and the code that runs the forward pass.
//
// It stands apart from engine so that a backend can implement it and engine can choose one, without an
// import cycle. It knows nothing of text, of HTTP or of any device.
package backend

import (
	"context"
	"fmt"
	"slices"
)

// Backend runs the forward pass of one loaded model on one device.
type Backend interface {
	// Forward writes one row of raw logits per sequence: out is [B*Labels] float32. It may be called from
	// several goroutines at once: each call has its own scratch, which is how batches overlap. A pass that takes long is
	// done in parts; other calls run between them, and go on all the same. It returns ctx's error when ctx ends first, at
	// the next part; out is then undefined.
	Forward(ctx context.Context, b *Batch, out []float32) error
	// Info describes the backend; it doesn't change over its life.
	Info() Info
	// Close frees the device's memory. No Forward may be running or follow.
	Close() error
}

// Info describes a backend as `metalrank info` and GET /info show it.
type Info struct {
	Name        string // "reference", "cpu", "metal", "sim"
	Device      string // the hardware, for people to read
	DType       string // dtype of the arithmetic: "float64", "float16", …
	WeightBytes int64  // bytes that the loaded weights occupy
	Overlap     int    // how many Forward calls may usefully overlap, at least 1
	Prefixes    bool   // batches may have prefixes
	Dispatch    []Dispatch
}

// Dispatch names the kernel of one operation of the forward pass, and why it was chosen, for people to read. A backend that
// has no choice lists none.
type Dispatch struct {
	Operation, Kernel, Why string
}

// Batch is B sequences packed end to end into T tokens, without padding. Sequences may share a prefix.
type Batch struct {
	IDs       []int32 // [T] token ids, 0 ≤ id < vocabulary size
	Types     []int32 // [T] segment ids, 0 ≤ type < number of types
	Positions []int32 // [T] position ids, counted from 0 in every sequence
	Starts    []int32 // [B+1] first token of each sequence; Starts[B] = T (known elsewhere as cu_seqlens)
	// Prefixes [B] names for each sequence an earlier one of the batch whose tokens come before its own, or -1. Queries see the
	// prefix's keys as if its tokens were repeated, and positions go on from its last one, so that logits have the bits of
	// the repeated text. A prefix has no prefix. nil: no sequence has one. Only causal models take prefixes, and only
	// backends whose Info says so. A prefix has a row of logits like any other sequence, which means nothing.
	Prefixes []int32
	// Urgent says that a long pass under way should let this one go first, where it can be interrupted.
	Urgent bool
}

// Tokens returns T.
func (b *Batch) Tokens() int { return len(b.IDs) }

// Sequences returns B.
func (b *Batch) Sequences() int { return max(len(b.Starts)-1, 0) }

// Append adds one sequence; ids and types are [L], L ≥ 1, and are copied.
func (b *Batch) Append(ids, types []int32) { b.AppendAfter(-1, ids, types) }

// AppendAfter adds one sequence as Append does, behind the tokens of sequence number prefix; -1 is none.
func (b *Batch) AppendAfter(prefix int, ids, types []int32) {
	if len(b.Starts) == 0 {
		b.Starts = append(b.Starts, 0)
	}
	if prefix >= 0 && b.Prefixes == nil {
		b.Prefixes = slices.Repeat([]int32{-1}, b.Sequences())
	}
	if b.Prefixes != nil {
		b.Prefixes = append(b.Prefixes, int32(prefix))
	}
	first := 0
	if prefix >= 0 {
		first = int(b.Starts[prefix+1] - b.Starts[prefix])
	}
	b.IDs = append(b.IDs, ids...)
	b.Types = append(b.Types, types...)
	at := len(b.Positions)
	b.Positions = slices.Grow(b.Positions, len(ids))[:at+len(ids)]
	for i := range ids {
		b.Positions[at+i] = int32(first + i)
	}
	b.Starts = append(b.Starts, int32(len(b.IDs)))
}

// Prefix returns the range of tokens of the prefix of sequence i, which is empty if it has none.
func (b *Batch) Prefix(i int) (start, stop int) {
	if len(b.Prefixes) == 0 || b.Prefixes[i] < 0 {
		return 0, 0
	}
	at := b.Prefixes[i]
	return int(b.Starts[at]), int(b.Starts[at+1])
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	*b = Batch{IDs: b.IDs[:0], Types: b.Types[:0], Positions: b.Positions[:0], Starts: b.Starts[:0]}
}

// Limits are the table sizes that the values of a batch index.
type Limits struct {
	Vocab, Types, Positions int
}

// Check reports the first value that is out of its range, or lengths that disagree. The usual cause is a tokenizer with a
// larger vocabulary than the model's embedding table, so it is an error and not a bug.
func (b *Batch) Check(limits Limits) error {
	tokens := len(b.IDs)
	if len(b.Types) != tokens || len(b.Positions) != tokens {
		return fmt.Errorf("backend: batch has %d ids, %d types and %d positions, want equal numbers",
			tokens, len(b.Types), len(b.Positions))
	}
	if tokens == 0 && len(b.Starts) == 0 {
		return nil
	}
	if len(b.Starts) < 2 || b.Starts[0] != 0 || int(b.Starts[len(b.Starts)-1]) != tokens {
		return fmt.Errorf("backend: batch starts must run from 0 to %d tokens", tokens)
	}
	for i := 1; i < len(b.Starts); i++ {
		if b.Starts[i] <= b.Starts[i-1] {
			return fmt.Errorf("backend: sequence %d has %d tokens, want at least 1", i-1, b.Starts[i]-b.Starts[i-1])
		}
	}
	if b.Prefixes != nil && len(b.Prefixes) != b.Sequences() {
		return fmt.Errorf("backend: batch has %d prefixes, want one for each of %d sequences", len(b.Prefixes), b.Sequences())
	}
	for i, at := range b.Prefixes {
		if at < -1 || int(at) >= i || at >= 0 && b.Prefixes[at] >= 0 {
			return fmt.Errorf("backend: sequence %d: prefix %d, want an earlier sequence without a prefix, or -1", i, at)
		}
	}
	for _, column := range []struct {
		name   string
		values []int32
		limit  int
	}{{"token id", b.IDs, limits.Vocab}, {"token type", b.Types, limits.Types}, {"position", b.Positions, limits.Positions}} {
		for i, v := range column.values {
			if v < 0 || int(v) >= column.limit {
				return fmt.Errorf("backend: token %d: %s %d, the model has %d", i, column.name, v, column.limit)
			}
		}
	}
	return nil
}

type encodedKey struct{}

// WhenEncoded returns a context with which Forward calls f once the device has all of its work; after that Forward only
// waits for the device.
func WhenEncoded(ctx context.Context, f func()) context.Context {
	return context.WithValue(ctx, encodedKey{}, f)
}

// Encoded is called by a backend's Forward, and calls the function that WhenEncoded was given, if any.
func Encoded(ctx context.Context) {
	if f, ok := ctx.Value(encodedKey{}).(func()); ok {
		f()
	}
}

// UnsupportedError is the error of a backend that opens a model and lacks some of its operations.
type UnsupportedError struct {
	Backend, Operation string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s: the model has %s, which this backend does not have yet: use another backend", e.Backend, e.Operation)
}
