package selftest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
)

// HeadNorm is the norm of heads of queries and of keys, in rows that have Behind columns more.
type HeadNorm struct {
	DType         kernels.DType
	M             int
	Queries, Keys int // heads
	Size, Behind  int
	Turned        bool
	Gather        bool
}

// keyEpsilon is that of keys' norms, another than that of queries'.
const keyEpsilon = 0.3

// Case makes operands and answer. Allowed: a root mean square of D squares, which 32 lanes add up, with (D/32 + 16) roundings as
// normalise has them; turning is three operations; one rounding at the store.
func (n HeadNorm) Case() Case {
	heads, seed := n.Queries+n.Keys, uint64(n.M*389+n.Size)
	width, rows := heads*n.Size+n.Behind, n.M
	if n.Gather {
		rows = 2*n.M + 3
	}
	random := rand.New(rand.NewPCG(seed, 6))
	index, positions := make([]int, n.M), make([]int, rows)
	for i := range index {
		index[i] = random.IntN(rows)
	}
	for i := range positions {
		positions[i] = random.IntN(turnedPositions)
	}
	var turns []float64
	for range turnedPositions * n.Size / 2 {
		angle := random.Float64() * 7
		turns = append(turns, rounded(kernels.F32, math.Cos(angle)), rounded(kernels.F32, math.Sin(angle)))
	}
	moved := 2*n.M*heads*n.Size*n.DType.Size() + 4*4*n.Size
	if n.Turned {
		moved += 4*n.M + 4*len(turns)
	}
	c := Case{File: "head_norm.metal", DType: n.DType, LeastBytes: moved, Problem: problem.Problem{
		Name:   fmt.Sprintf("head_norm %s %d rows of %d+%d heads of %d, turned %v gather %v", n.DType, n.M, n.Queries, n.Keys, n.Size, n.Turned, n.Gather),
		Result: 0,
		Operands: []problem.Operand{
			input("x", n.DType, n.M*width, 1, seed), vectors("vectors", 4*n.Size, 1, seed+1), {Name: "turns", Values: turns},
			{Name: "positions", Raw: wordsOf(positions)}, {Name: "index", Raw: wordsOf(index)},
		},
	}}
	c.record = n.record
	for m := range n.M {
		row := slices.Clone(c.Operands[0].Values[m*width : (m+1)*width])
		allowed := make([]float64, width)
		at := m
		if n.Gather {
			at = index[m]
		}
		for head := range heads {
			by := turns[positions[at]*n.Size : (positions[at]+1)*n.Size]
			n.head(row[head*n.Size:(head+1)*n.Size], allowed[head*n.Size:], c.Operands[1].Values, by, head >= n.Queries)
		}
		for i, value := range row {
			if i >= heads*n.Size {
				allowed[i] = math.SmallestNonzeroFloat64 // nothing writes there
			} else {
				allowed[i] += stored(n.DType, value)
			}
			c.Want, c.Allowed = append(c.Want, value), append(c.Allowed, allowed[i])
		}
	}
	return c
}

// head replaces a head x by its norm, turned by cosines and sines, and allowed by the errors of that.
func (n HeadNorm) head(x, allowed, vectors, turns []float64, ofKeys bool) {
	e := epsilon
	if ofKeys {
		vectors, e = vectors[2*n.Size:], keyEpsilon
	}
	var square float64
	for _, v := range x {
		square += v * v / float64(n.Size)
	}
	steps := float64(n.Size)/32 + 16
	for i, v := range x {
		z := v / math.Sqrt(square+e) * vectors[i]
		x[i] = z + vectors[n.Size+i]
		allowed[i] = steps*problem.FloatRoundoff*math.Abs(z) + problem.FloatRoundoff*math.Abs(x[i])
	}
	if n.Turned {
		r := row{x, allowed[:n.Size]}
		Epilogue{HeadSize: n.Size, Turned: n.Size}.turn(r, turns)
	}
}

func (n HeadNorm) record(l *kernels.Library, r *kernels.Recorder, b []metal.Binding) error {
	norms := kernels.HeadNorms{
		Queries: n.Queries, Keys: n.Keys, Size: n.Size, Vectors: b[1], Epsilon: epsilon, KeyEpsilon: keyEpsilon, Gather: n.Gather,
	}
	if n.Turned {
		norms.Turns = b[2]
	}
	op, err := l.NewHeadNorm(norms)
	if err != nil {
		return err
	}
	return op.Record(r, n.M, b[0], (n.Queries+n.Keys)*n.Size+n.Behind, b[3], b[4])
}

func headNormCases(d kernels.DType) []Case {
	var cases []Case
	for _, n := range []HeadNorm{
		{M: 1, Queries: 1, Size: 4}, {M: 3, Queries: 2, Keys: 1, Size: 32, Behind: 32}, {M: 5, Queries: 4, Keys: 2, Size: 128, Behind: 256},
		{M: 2, Queries: 9, Keys: 8, Size: 64, Behind: 4}, {M: 4, Keys: 3, Size: 72, Behind: 216}, {M: 3, Queries: 5, Keys: 3, Size: 20},
	} {
		n.DType = d
		turned, gathered := n, n
		turned.Turned, gathered.Turned, gathered.Gather = true, true, true
		cases = append(cases, n.Case(), turned.Case(), gathered.Case())
	}
	return cases
}
