package selftest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
)

// Embed is an embedding layer with tables of a few rows.
type Embed struct {
	DType     kernels.DType
	T, H      int
	Bits      int // of the table of words; 0: not quantised
	GroupSize int
	Without   string // parts that are left out, of "positions types norm"
	Sum       bool   // the result in f32 is compared
	Waiting   bool   // the result waits for a norm
	Answer    int    // the operand that is compared instead of the result: embedStatistics
}

// Rows of the tables of an Embed.
const (
	embedWords     = 11
	embedPositions = 7
	embedTypes     = 2
)

// Indices of operands: the result in f32, and its statistics.
const (
	embedSum = 8 + iota
	embedStatistics
)

// Case makes operands and answer. Allowed: two additions, and where words are quantised one more; then as normalise says,
// and one rounding at the store.
func (e Embed) Case() Case {
	seed := uint64(e.T*613 + e.H + e.Bits)
	words := input("words", e.DType, embedWords*e.H, 0.05, seed)
	table := words.Values
	scales := problem.Operand{Name: "scales", Raw: []byte{0}}
	offsets := scales
	if e.Bits != 0 {
		q := quantised(kernels.F32, embedWords, e.H, e.Bits, e.GroupSize, 0.05, seed)
		operands := q.operands()
		words, scales, offsets, table = operands[0], operands[1], operands[2], q.values
	}
	random := rand.New(rand.NewPCG(seed, 2))
	var columns [3][]int
	for i, rows := range []int{embedWords, embedPositions, embedTypes} {
		for range e.T {
			columns[i] = append(columns[i], random.IntN(rows))
		}
	}
	c := Case{File: "embed.metal", DType: e.DType, Problem: problem.Problem{
		Name: fmt.Sprintf("embed %s %dx%d q%d/%d", e.DType, e.T, e.H, e.Bits, e.GroupSize), Result: 5,
		Operands: []problem.Operand{
			{Name: "tokens", Raw: wordsOf(slices.Concat(columns[:]...))}, words,
			input("positions", e.DType, embedPositions*e.H, 0.05, seed+1), input("types", e.DType, embedTypes*e.H, 0.05, seed+2),
			vectors("vectors", 2*e.H, 1, seed+3), output("y", e.DType, e.T*e.H), scales, offsets,
		},
	}}
	c.record, c.LeastBytes = e.record, e.leastBytes(columns)
	result := e.DType
	strips := (e.H + stripColumns - 1) / stripColumns
	c.Operands = append(c.Operands, output("sum", kernels.F32, e.T*e.H), output("statistics", kernels.F32, 2*e.T*strips))
	if e.Sum {
		c.Result, result = embedSum, kernels.F32
	}
	if e.Answer != 0 {
		c.Result, result = e.Answer, kernels.F32
	}
	if e.Without != "" || e.Sum || e.Waiting {
		c.Name += fmt.Sprintf(" without %q, sum %v, waiting %v, answer %d", e.Without, e.Sum, e.Waiting, e.Answer)
	}
	e.answer(&c, columns, table, result)
	return c
}

// answer fills in the answer, of type result; columns are the rows of tables that each token has, and words the first table.
func (e Embed) answer(c *Case, columns [3][]int, words []float64, result kernels.DType) {
	for t := range e.T {
		row, allowed := make([]float64, e.H), make([]float64, e.H)
		for h := range row {
			var magnitude float64
			for i, values := range [][]float64{words, c.Operands[2].Values, c.Operands[3].Values} {
				if i > 0 && !e.has([]string{"", "positions", "types"}[i]) {
					continue
				}
				v := values[columns[i][t]*e.H+h]
				row[h] += v
				magnitude += math.Abs(v)
			}
			allowed[h] = 3 * problem.FloatRoundoff * magnitude
		}
		switch {
		case e.Answer == embedStatistics:
			row, allowed = stripsOf(row, allowed)
		case e.Waiting && !e.Sum:
			for h := range row {
				row[h] *= c.Operands[4].Values[h]
				allowed[h] = allowed[h]*math.Abs(c.Operands[4].Values[h]) + problem.FloatRoundoff*math.Abs(row[h])
			}
		case e.has("norm"):
			normalise(row, allowed, c.Operands[4].Values[:e.H], c.Operands[4].Values[e.H:])
		}
		for h, value := range row {
			c.Want, c.Allowed = append(c.Want, value), append(c.Allowed, allowed[h]+stored(result, value))
		}
	}
}

func (e Embed) has(part string) bool { return !strings.Contains(e.Without, part) }

// leastBytes counts a table's row once, however many tokens have it.
func (e Embed) leastBytes(columns [3][]int) int {
	size := e.DType.Size()
	least := e.T * e.H * size
	switch {
	case e.Waiting: // the sum and its statistics, too
		least += 4*e.H + 4*e.T*e.H + 8*e.T*((e.H+stripColumns-1)/stripColumns)
	case e.has("norm"):
		least += 4 * 2 * e.H
	}
	for i, column := range columns {
		if i > 0 && !e.has([]string{"", "positions", "types"}[i]) {
			continue
		}
		least += 4 * e.T
		rows, row := distinct(column), e.H*size
		if i == 0 && e.Bits != 0 {
			row = e.H*e.Bits/8 + e.H/e.GroupSize*4
		}
		least += rows * row
	}
	return least
}

func (e Embed) record(l *kernels.Library, r *kernels.Recorder, b []metal.Binding) error {
	tables := kernels.Embeddings{
		Words: kernels.Matrix{
			N: embedWords, K: e.H, Data: b[1], Bits: e.Bits, GroupSize: e.GroupSize, Scales: b[6], Offsets: b[7],
		},
		Epsilon: epsilon, Kept: e.Sum || e.Waiting, Waiting: e.Waiting,
	}
	for i, part := range []*metal.Binding{&tables.Positions, &tables.Types, &tables.Norm} {
		if e.has([]string{"positions", "types", "norm"}[i]) || e.Waiting && i == 2 {
			*part = b[2+i]
		}
	}
	op, err := l.NewEmbed(tables)
	if err != nil {
		return err
	}
	return op.Record(r, e.T, b[0], b[5], b[embedSum], b[embedStatistics])
}
