// Package cost computes the cost of a forward pass: for each operation of each layer, the arithmetic that the valid tokens
// need and the fewest bytes that have to move. It is arithmetic on shapes; the times of backends are measured elsewhere.
//
// It knows neither backends nor callers.
package cost

import "github.com/metalrank/metalrank/weights"

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
	Layers, Hidden, FeedForward, Embedding, Labels int
}

// ShapeOf takes the shape from a checkpoint's configuration.
func ShapeOf(c weights.Config) Shape {
	return Shape{
		Layers: c.Layers, Hidden: c.HiddenSize, FeedForward: c.FeedForward, Embedding: c.EmbeddingSize, Labels: len(c.Labels),
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
	tokens, pairs := 0.0, 0.0
	for _, l := range lengths {
		tokens += float64(l)
	}
	sequences := float64(len(lengths))
	for _, l := range lengths {
		pairs += float64(l) * float64(l)
	}
	h, ff, e := float64(s.Hidden), float64(s.FeedForward), float64(s.Embedding)
	// Of a token: rows of three tables, ids, and two vectors of the norm that all share.
	operations := []Operation{{NoLayer, Embed, 0, tokens*(3*e*f.Activation+3*4+e*f.Activation) + 2*e*vectorBytes}}
	if s.Embedding != s.Hidden {
		operations = append(operations, f.linear(NoLayer, Projection, tokens, h, e))
	}
	for i := range s.Layers {
		rows := tokens
		if i < s.Layers-1 {
			operations = append(operations, f.linear(i, QKV, tokens, 3*h, h), f.attention(i, h, tokens, pairs, tokens))
		} else {
			rows = sequences
			operations = append(operations, f.linear(i, KeysValues, tokens, 2*h, h), f.linear(i, Query, rows, h, h),
				f.attention(i, h, rows, tokens, tokens))
		}
		operations = append(operations,
			f.normed(i, AttentionOutput, rows, h, h), f.linear(i, Intermediate, rows, ff, h), f.normed(i, Output, rows, h, ff))
	}
	c := float64(s.Labels)
	return append(operations, Operation{
		NoLayer, Head, 2 * sequences * h * (h + c),
		h*h*f.Head + h*vectorBytes + c*(h+1)*vectorBytes + sequences*(h*f.Activation+c*vectorBytes),
	})
}

// linear is y [m, n] = x [m, k] wT + bias.
func (f Format) linear(layer int, name Name, m, n, k float64) Operation {
	return Operation{layer, name, 2 * m * n * k, n*k*f.Weight + n*vectorBytes + (m*k+m*n)*f.Activation}
}

// normed is linear with a residual [m, n] and a layer norm.
func (f Format) normed(layer int, name Name, m, n, k float64) Operation {
	o := f.linear(layer, name, m, n, k)
	o.Bytes += m*n*f.Activation + 2*n*vectorBytes
	return o
}

// attention is of some queries to keys; pairs is how many scores it makes in a head.
func (f Format) attention(layer int, h, queries, pairs, keys float64) Operation {
	return Operation{layer, Attention, 4 * pairs * h, (2*queries*h + 2*keys*h) * f.Activation}
}

// Pair is the arithmetic that each two tokens of a sequence add, as a part of all that a token needs besides: a sequence of
// n tokens takes n + Pair n² times that.
func Pair(s Shape) float64 {
	flops := func(tokens int) float64 {
		sum, _ := Total(Pass(s, []int{tokens}, Format{}))
		return sum
	}
	pair := (flops(3) - 2*flops(2) + flops(1)) / 2
	return pair / (flops(2) - flops(1) - 3*pair)
}

// Total adds up the operations.
func Total(operations []Operation) (flops, bytes float64) {
	for _, o := range operations {
		flops += o.FLOPs
		bytes += o.Bytes
	}
	return flops, bytes
}
