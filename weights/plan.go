package weights

import (
	"math"
	"slices"
	"strings"
)

// Plan is a model as data: its tensors, and the order of its operations. A backend knows nothing else of a model. With x
// as the residual and n as its norm, a pass is
//
//	x, n = embeddings, first norm of them
//	for each layer:
//	    s = x + output(attention(query(n), key(n), value(n)));  n = norm(s);  x = s if KeepSum, else n
//	    s = x + outer(activation(inner(n)));                    n = norm(s);  x = s if KeepSum, else n
//	logits = head(pool(n))
//
// So each norm belongs to the sum before it, in a model with norms after attention as in one with norms before it, where
// the norm of a layer's last sum is the next layer's first.
//
// Letters: V tokens of the vocabulary, P positions, S segment ids, E width of embeddings, H hidden size, A heads, G heads of
// keys and values, D head size, F inner width of a feed-forward block, C labels. All tensors are F32, F16 or BF16, not necessarily the same, and
// have the shapes that the config asks for. Matrices may be quantised; see [Tensor.Quant].
type Plan struct {
	Embeddings Embeddings
	// FirstNorm is of the projected embeddings: n is the norm of x, and x itself is, too, unless KeepSum is set. nil: none.
	FirstNorm *Norm
	KeepSum   bool
	Layers    []Layer // at least one
	Pool      Pool
	// Trailing lists ids of tokens that PoolLast passes over at the end of a sequence.
	Trailing []int32
	Head     []Step // the last one is the classifier, [C, H] without activation

	Hidden, Vocab, Positions, Types, Labels int // H, V, P, S, C
}

// Embeddings are the sum of rows of tables, normed and, where E is not H, projected.
type Embeddings struct {
	Words     Tensor  // [V, E]
	Positions *Tensor // [P, E], row 0 is the first token's; nil: none
	// Padding [1, E] comes after Positions as their row P. It is that of padding tokens, which may be in a text, too, and which
	// the positions of other tokens don't count (create_position_ids_from_input_ids of models/roberta in transformers). nil:
	// a padding token is like any other.
	Padding    *Tensor
	Types      *Tensor // [S, E]; nil: none
	Norm       *Norm   // [E]; nil: none
	Projection *Linear // [H, E]; nil: none, and E is H
}

// Layer is one encoder layer.
type Layer struct {
	Attention         Attention
	Query, Key, Value Linear  // [AD, H], [GD, H] and [GD, H]; heads are consecutive blocks of D rows
	Output            Linear  // [H, AD]
	AttentionNorm     *Norm   // of the sum after attention; nil: none
	Gate              *Linear // [F, H]; nil: not gated. Else the block is outer(activation(gate(n)) * inner(n)).
	Inner             Linear  // [F, H]
	Activation        Activation
	Outer             Linear // [H, F]
	OuterNorm         *Norm  // of the sum after the feed-forward block; nil: none
}

// Attention says which keys a query of a sequence sees, and how positions reach the scores.
type Attention struct {
	Heads, Size int       // A, D; A·D is H in a BERT
	KeyHeads    int       // G, a divisor of A; query head a reads key head a·G/A. A in a BERT
	Causal      bool      // a query at i sees no key after i
	Window      int       // a query at i sees keys from i - Window to i + Window; 0: all
	QueryNorm   *Norm     // [D], of each head of each query, before its position turns it; nil: none
	KeyNorm     *Norm     // [D], of keys
	Slopes      []float32 // [A] of ALiBi: a score loses slope times the distance of its tokens; nil: none
	Relative    *Relative // disentangled attention; nil: none
	Frequencies []float32 // [D/2] of rotary positions; nil: none. A position p turns pair (i, i + D/2) by p · Frequencies[i].
}

// Relative is DeBERTa's disentangled attention (He et al. 2020, with the buckets of version 2). The score of query i and key
// j is (q·k + q·K[r] + k·Q[r]) / √(D n), where r is Row(i - j), K and Q are made of the table's rows, and n is one more than
// the terms of positions that there are.
type Relative struct {
	Table      Tensor  // [2 Span, H]
	Norm       *Norm   // of its rows; nil: none
	Key, Query *Linear // [H, H], which make K and Q; nil: no such term
	Span       int     // buckets to each side
	Buckets    int     // 0: a bucket for each distance
	Farthest   int     // the distance of the last bucket
}

// bucket returns the bucket of a distance: the distance itself up to half of the buckets, then by its logarithm. It rounds
// as transformers does in float32 (make_log_bucket_position of models/deberta_v2).
func (r *Relative) bucket(distance int) int {
	middle, size := r.Buckets/2, max(distance, -distance)
	if r.Buckets == 0 || size <= middle {
		return distance
	}
	log := func(x float32) float32 { return float32(math.Log(float64(x))) }
	part := log(float32(size)/float32(middle)) / log(float32(r.Farthest-1)/float32(middle))
	bucket := int(math.Ceil(float64(part*float32(middle-1)))) + middle
	if distance < 0 {
		return -bucket
	}
	return bucket
}

// Row returns the table's row for a distance.
func (r *Relative) Row(distance int) int { return min(max(r.bucket(distance)+r.Span, 0), 2*r.Span-1) }

// Linear is y = x Wᵀ + b, as torch.nn.Linear stores it.
type Linear struct {
	Weight Tensor // [out, in]
	Bias   Tensor // [out]; zeros where the model has none
}

// Norm is layer normalisation: (x - mean) / √(variance + Epsilon) · Gamma + Beta. With RMS it is that of Zhang and Sennrich
// 2019, x / √(mean of x² + Epsilon) · Gamma + Beta.
type Norm struct {
	Gamma   Tensor // [H]
	Beta    Tensor // [H]; zeros where the model has none
	Epsilon float64
	RMS     bool
}

// Pool says which row of a sequence the head takes.
type Pool uint8

const (
	// PoolFirst takes the row of the first token, [CLS].
	PoolFirst Pool = iota
	// PoolMean takes the mean of the rows of all tokens.
	PoolMean
	// PoolLast takes the row of the last token.
	PoolLast
)

// Step is a step of the head: a linear layer, then an activation, then a norm, each of which may be absent.
type Step struct {
	Linear     *Linear
	Activation Activation // 0: none
	Norm       *Norm
}

// Zeros returns a tensor of zeros in memory, F32.
func Zeros(name string, shape ...int) Tensor {
	t := Tensor{Name: name, DType: F32, Shape: shape}
	t.data = make([]byte, 4*t.Len())
	return t
}

// Present returns those of some tensors that are not nil.
func Present(tensors ...*Tensor) (present []Tensor) {
	for _, t := range tensors {
		if t != nil {
			present = append(present, *t)
		}
	}
	return present
}

// PositionRows returns the number of positions that tokens may have: those of Positions, and that of padding.
func (p *Plan) PositionRows() int {
	if p.Embeddings.Padding != nil {
		return p.Positions + 1
	}
	return p.Positions
}

// Prefixes reports whether sequences of a batch may share a prefix: what a token sees depends on nothing after it, and
// the head takes the last token.
func (p *Plan) Prefixes() bool {
	return p.Pool == PoolLast && !slices.ContainsFunc(p.Layers, func(l Layer) bool { return !l.Attention.Causal })
}

// Operation is an operation that a BERT does not have, so that a backend may lack it.
type Operation string

// Operations.
const (
	NormBefore       Operation = "norms before attention and feed-forward"
	GatedFeedForward Operation = "a gated feed-forward block"
	RotaryPositions  Operation = "rotary positions"
	WindowAttention  Operation = "sliding-window attention"
	Disentangled     Operation = "disentangled attention"
	DistanceBias     Operation = "scores that fall with distance (ALiBi)"
	NoPositions      Operation = "embeddings without positions"
	NoNorm           Operation = "a layer without a norm"
	MeanPool         Operation = "mean pooling"
	LastPool         Operation = "pooling by the last token"
	CausalAttention  Operation = "causal attention"
	GroupedHeads     Operation = "heads that share keys and values"
	FreeHeads        Operation = "heads that are not as wide together as the model"
	HeadNorms        Operation = "norms of queries and keys"
	RMSNorm          Operation = "norms without a mean (RMS)"
	OtherHead        Operation = "a head other than two linear layers"
)

// Lacking lists the operations of the plan that neither a BERT nor a backend has, given those that the backend has besides
// a BERT's. It is empty if the backend can run the plan.
func (p *Plan) Lacking(supported ...Operation) string {
	var all []string
	need := func(o Operation, needed bool) {
		if needed && !slices.Contains(supported, o) && !slices.Contains(all, string(o)) {
			all = append(all, string(o))
		}
	}
	need(NoPositions, p.Embeddings.Positions == nil)
	need(NormBefore, p.KeepSum)
	need(NoNorm, p.Embeddings.Norm == nil)
	rms := func(norms ...*Norm) {
		for _, n := range norms {
			need(RMSNorm, n != nil && n.RMS)
		}
	}
	rms(p.Embeddings.Norm, p.FirstNorm)
	for i := range p.Layers {
		l := &p.Layers[i]
		rms(l.AttentionNorm, l.OuterNorm)
		need(CausalAttention, l.Attention.Causal)
		need(GroupedHeads, l.Attention.KeyHeads != l.Attention.Heads)
		need(FreeHeads, l.Attention.Heads*l.Attention.Size != p.Hidden)
		need(HeadNorms, l.Attention.QueryNorm != nil || l.Attention.KeyNorm != nil)
		need(RotaryPositions, l.Attention.Frequencies != nil)
		need(WindowAttention, l.Attention.Window != 0)
		need(Disentangled, l.Attention.Relative != nil)
		need(DistanceBias, l.Attention.Slopes != nil)
		need(GatedFeedForward, l.Gate != nil)
		need(NoNorm, l.AttentionNorm == nil || l.OuterNorm == nil)
	}
	need(MeanPool, p.Pool == PoolMean)
	need(LastPool, p.Pool == PoolLast)
	plain := func(s Step) bool { return s.Linear != nil && s.Norm == nil }
	need(OtherHead, len(p.Head) != 2 || !plain(p.Head[0]) || !plain(p.Head[1]) ||
		p.Head[0].Activation == 0 || p.Head[0].Linear.Weight.Shape[0] != p.Hidden)
	return strings.Join(all, ", ")
}
