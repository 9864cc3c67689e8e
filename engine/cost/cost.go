// Package cost computes the cost of a forward pass: for each operation of each layer, the arithmetic that the valid tokens
// need and the fewest bytes that have to move. It is arithmetic on shapes; the times of backends are measured elsewhere.
//
// It knows neither backends nor callers.
package cost

import (
	"cmp"
	"slices"

	"github.com/metalrank/metalrank/weights"
)

// Name is an operation, the same for every backend.
type Name string

// The operations, in the order of a pass. In the last layer only rows of [CLS] are read, so that there QKV is two: keys
// and values of all tokens, and queries of the first ones.
const (
	Embed           Name = "embed"      // look-up and its layer norm
	Projection      Name = "projection" // of embeddings to H, where they are narrower
	QKV             Name = "qkv"
	KeysValues      Name = "keys, values"
	Query           Name = "query"
	Attention       Name = "attention"
	AttentionOutput Name = "attention output" // with residual and layer norm
	Intermediate    Name = "intermediate"     // with activation
	Output          Name = "output"           // with residual and layer norm
	Head            Name = "head"             // pooler and classifier
)

// NoLayer is the layer of operations that belong to none.
const NoLayer = -1

// Shape has the sizes that a model's cost depends on.
type Shape struct {
	Hidden, Embedding int
	Tables            int // of embeddings, of which a token reads a row each
	Layers            []Layer
	KeptSums          bool  // the residual is a sum beside its norm, in float32
	AllRows           bool  // the head reads all rows of the last layer, and not one of each sequence
	Head              []int // outputs of the head's linear layers
}

// Layer has the sizes of one layer.
type Layer struct {
	FeedForward int
	Gated       bool // the feed-forward block has a second product of the same size
	Window      int  // keys to each side of a query; 0: all
	Rotary      int  // D of heads with rotary positions: a token reads as many cosines and sines; 0: none
	Terms, Rows int  // products of positions in a score, 0 to 2 (disentangled attention), and rows of their table
	Queries     int  // A·D, the width of queries; 0: H
	Keys        int  // G·D, that of keys and of values; 0: H
	Causal      bool // a query sees no key behind it
}

// ShapeOf takes the shape from a model's plan.
func ShapeOf(p *weights.Plan) Shape {
	s := Shape{
		Hidden: p.Hidden, Embedding: p.Embeddings.Words.Shape[1], Tables: 1, KeptSums: p.KeepSum, AllRows: p.Pool == weights.PoolMean,
	}
	for _, table := range []*weights.Tensor{p.Embeddings.Positions, p.Embeddings.Types} {
		if table != nil {
			s.Tables++
		}
	}
	for i := range p.Layers {
		l := &p.Layers[i]
		layer := Layer{
			FeedForward: l.Inner.Weight.Shape[0], Gated: l.Gate != nil, Window: l.Attention.Window, Rotary: 2 * len(l.Attention.Frequencies),
			Queries: l.Query.Weight.Shape[0], Keys: l.Key.Weight.Shape[0], Causal: l.Attention.Causal,
		}
		if r := l.Attention.Relative; r != nil {
			layer.Rows = 2 * r.Span
			for _, term := range []*weights.Linear{r.Key, r.Query} {
				if term != nil {
					layer.Terms++
				}
			}
		}
		s.Layers = append(s.Layers, layer)
	}
	for _, step := range p.Head {
		if step.Linear != nil {
			s.Head = append(s.Head, step.Linear.Weight.Shape[0])
		}
	}
	return s
}

// BERT returns the shape of a BERT with one size of embeddings and hidden rows.
func BERT(layers, hidden, feedForward, labels int) Shape {
	return Shape{
		Hidden: hidden, Embedding: hidden, Tables: 3, Layers: slices.Repeat([]Layer{{FeedForward: feedForward}}, layers),
		Head: []int{hidden, labels},
	}
}

// Format is the size of elements in bytes.
type Format struct {
	Weight     float64 // of matrices; with its share of scales where they are quantised
	Activation float64
	Head       float64 // of the head's matrix
}

// vectorBytes is the size of an element of biases, norms and logits: float32 in every backend.
const vectorBytes = 4

// sumBytes is the size of an element of kept sums, and of cosines and sines: float32, too.
const sumBytes = 4

// Operation is one operation of a pass.
type Operation struct {
	Layer int // from 0 on, or NoLayer
	Name  Name
	FLOPs float64 // multiplications and additions of products, for valid tokens alone
	// Bytes is the least that has to move where nothing is kept from one operation to the next: weights once, each operand
	// in once, the result out once.
	Bytes float64
}

// Pass lists the operations of a forward pass over sequences of these lengths.
func Pass(s Shape, lengths []int, f Format) []Operation {
	tokens := 0.0
	for _, l := range lengths {
		tokens += float64(l)
	}
	sequences := float64(len(lengths))
	h, e := float64(s.Hidden), float64(s.Embedding)
	// Of a token: a row of each table, ids, and two vectors of the norm that all share.
	read := float64(s.Tables) * e * f.Activation
	operations := []Operation{{NoLayer, Embed, 0, tokens*(read+3*4+e*f.Activation) + 2*e*vectorBytes}}
	if s.Embedding != s.Hidden {
		operations = append(operations, f.linear(NoLayer, Projection, tokens, h, e))
	}
	if s.KeptSums {
		operations[len(operations)-1].Bytes += tokens * h * sumBytes
	}
	for i, l := range s.Layers {
		rows, ff, first := tokens, float64(l.FeedForward), len(operations)
		queries, keys := float64(cmp.Or(l.Queries, s.Hidden)), float64(cmp.Or(l.Keys, s.Hidden))
		if i < len(s.Layers)-1 || s.AllRows {
			pairs := l.scores(lengths, func(length int) int { return length })
			operations = append(operations, f.linear(i, QKV, tokens, queries+2*keys, h), f.attention(i, &l, queries, keys, tokens, pairs, tokens))
		} else {
			rows = sequences
			pairs := l.scores(lengths, func(int) int { return 1 }) // with keys that no other query reads
			operations = append(operations, f.linear(i, KeysValues, tokens, 2*keys, h), f.linear(i, Query, rows, queries, h),
				f.attention(i, &l, queries, keys, rows, pairs, pairs))
		}
		operations[first].Bytes += tokens * float64(l.Rotary) * sumBytes
		inner := f.linear(i, Intermediate, rows, ff, h)
		if l.Gated {
			inner = f.linear(i, Intermediate, rows, 2*ff, h)
			inner.Bytes -= rows * ff * f.Activation // the product of both is one
		}
		operations = append(operations, s.sum(f, i, AttentionOutput, rows, queries), inner, s.sum(f, i, Output, rows, ff))
	}
	return append(operations, s.head(tokens, sequences, f))
}

// scores is how many scores a head makes, for the first queries of each sequence, or for the last ones of a causal model.
func (l *Layer) scores(lengths []int, queries func(length int) int) float64 {
	sum := 0.0
	for _, length := range lengths {
		n, w := queries(length), l.Window
		if w == 0 || w >= length {
			w = length - 1
		}
		if l.Causal { // each sees itself and w keys before it, less where the sequence begins
			missing := max(w-(length-n), 0)
			sum += float64(n)*float64(w+1) - float64(missing*(missing+1)/2)
			continue
		}
		// Keys before a query: 0, 1, … up to w. Those behind it: w, then fewer where the sequence ends.
		before, behind := min(n, w), max(n-(length-w), 0)
		sum += float64(n)*float64(2*w+1) - float64(before*(2*w+1-before)/2) - float64(behind*(behind+1)/2)
	}
	return sum
}

// head is one operation: the mean of rows, where it is needed, and all layers of the head, of which the last has a matrix of floats.
func (s *Shape) head(tokens, sequences float64, f Format) Operation {
	o := Operation{Layer: NoLayer, Name: Head, Bytes: sequences * float64(s.Hidden) * f.Activation}
	if s.AllRows {
		o.Bytes += tokens * float64(s.Hidden) * f.Activation
	}
	in := float64(s.Hidden)
	for i, n := range s.Head {
		out := float64(n)
		o.FLOPs += 2 * sequences * in * out
		if i < len(s.Head)-1 {
			o.Bytes += in*out*f.Head + out*vectorBytes
		} else {
			o.Bytes += (in+1)*out*vectorBytes + sequences*out*vectorBytes
		}
		in = out
	}
	return o
}

// linear is y [m, n] = x [m, k] wT + bias.
func (f Format) linear(layer int, name Name, m, n, k float64) Operation {
	return Operation{layer, name, 2 * m * n * k, n*k*f.Weight + n*vectorBytes + (m*k+m*n)*f.Activation}
}

// sum is linear with a residual [m, H] and a layer norm. A kept sum is another result.
func (s *Shape) sum(f Format, layer int, name Name, m, k float64) Operation {
	n := float64(s.Hidden)
	o := f.linear(layer, name, m, n, k)
	if o.Bytes += 2 * n * vectorBytes; s.KeptSums {
		o.Bytes += 2 * m * n * sumBytes
	} else {
		o.Bytes += m * n * f.Activation
	}
	return o
}

// attention is of some queries of width q to keys of width k; pairs is how many scores it makes in a head.
func (f Format) attention(layer int, l *Layer, q, k, queries, pairs, keys float64) Operation {
	table := float64(l.Terms*l.Rows) * q
	return Operation{layer, Attention, float64(4+2*l.Terms) * pairs * q, (2*queries*q + 2*keys*k + table) * f.Activation}
}

// PerToken is the arithmetic that a token needs by itself, in floating-point operations, and that each two tokens of a
// sequence add, as a part of it: a sequence of n tokens takes flops (n + pair n²). Sequences are longer than the windows of
// layers that have one, which therefore add nothing to pair.
func PerToken(s Shape) (flops, pair float64) {
	window := 0
	for _, l := range s.Layers {
		window = max(window, l.Window)
	}
	of := func(tokens int) float64 {
		sum, _ := Total(Pass(s, []int{window + tokens}, Format{}))
		return sum
	}
	both := (of(3) - 2*of(2) + of(1)) / 2
	flops = of(2) - of(1) - float64(2*window+3)*both
	return flops, both / flops
}

// Total adds up the operations.
func Total(operations []Operation) (flops, bytes float64) {
	for _, o := range operations {
		flops += o.FLOPs
		bytes += o.Bytes
	}
	return flops, bytes
}
