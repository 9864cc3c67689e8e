package selftest

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
)

// Attention is attention over packed sequences, with q, k and v side by side as a layer leaves them.
type Attention struct {
	DType           kernels.DType
	Heads, HeadSize int
	Lengths         []int // of the sequences
	First           bool  // of the first token of each sequence alone
	Window          int   // keys to each side of a query that it sees; 0: all
	Slopes          bool  // scores fall with distance
	// Disentangled attention has keys or queries of positions, or both; distances beyond Reach share a row of the table.
	PositionKeys, PositionQueries bool
	Reach                         int
	// Falling makes all scores far below zero, and those of every 32 further keys far below the ones before: this breaks
	// an online softmax that loses its greatest score, or begins with a wrong one.
	Falling bool
}

// Operands behind the first four, which all cases have.
const (
	attentionSlopes = 4 + iota // [A]
	attentionTable             // [positionRows, H or 2H]
	attentionRows
)

// positionRows is a prime, so that multiples of 7 name all rows.
const positionRows = 61

// starts is [B+1].
func (a Attention) starts() []int32 {
	starts := []int32{0}
	for _, n := range a.Lengths {
		starts = append(starts, starts[len(starts)-1]+int32(n))
	}
	return starts
}

// queries is how many rows out has.
func (a Attention) queries() int {
	if a.First {
		return len(a.Lengths)
	}
	return int(a.starts()[len(a.Lengths)])
}

// Case makes operands and answer.
func (a Attention) Case() Case {
	starts := a.starts()
	tokens, h := int(starts[len(a.Lengths)]), a.Heads*a.HeadSize
	seed := uint64(tokens*101 + h)
	items := kernels.AppendItems(nil, starts, a.Window)
	if a.First {
		items = kernels.AppendFirstItems(nil, starts, a.Window)
	}
	var raw []byte
	for _, item := range items {
		for _, v := range []uint32{item.Key, item.Keys, item.Query, item.Queries} {
			raw = binary.LittleEndian.AppendUint32(raw, v)
		}
	}
	seen := 0
	for i, n := range a.Lengths {
		_, end := a.keys(int(starts[i]), int(starts[i]), int(starts[i+1]))
		if !a.First {
			end = n + int(starts[i])
		}
		seen += end - int(starts[i])
	}
	least := (2*seen+2*a.queries())*h*a.DType.Size() + len(raw)
	lengths := fmt.Sprint(a.Lengths)
	if len(a.Lengths) > 8 {
		lengths = fmt.Sprintf("%d sequences", len(a.Lengths))
	}
	c := Case{File: "attention.metal", DType: a.DType, LeastBytes: least, Problem: problem.Problem{
		Name:   fmt.Sprintf("attention %s %dx%d %s first %v%s", a.DType, a.Heads, a.HeadSize, lengths, a.First, a.suffix()),
		Result: 3,
		Operands: []problem.Operand{
			input("qkv", a.DType, tokens*3*h, 1, seed), input("first q", a.DType, len(a.Lengths)*h, 1, seed+1),
			{Name: "items", Raw: raw}, output("out", a.DType, a.queries()*h), a.slopes(seed + 2),
			input("table", a.DType, positionRows*h*max(a.terms()-1, 1), 1, seed+3), {Name: "rows of distances", Raw: a.rows()},
		},
	}}
	if a.Slopes {
		c.LeastBytes += 4 * a.Heads
	}
	if a.terms() > 1 {
		c.LeastBytes += a.leastTable()
	}
	c.record = func(l *kernels.Library, r *kernels.Recorder, b []metal.Binding) error {
		return a.record(l, r, b, len(items))
	}
	if a.Falling {
		c.Name += " falling"
		a.fall(&c, starts)
	}
	a.answer(&c, starts)
	return c
}

// record records a run over so many items.
func (a Attention) record(l *kernels.Library, r *kernels.Recorder, b []metal.Binding, items int) error {
	h := a.Heads * a.HeadSize
	scores := kernels.Scores{Heads: a.Heads, Size: a.HeadSize, Window: a.Window}
	if a.Slopes {
		scores.Slopes = b[attentionSlopes]
	}
	if a.terms() > 1 {
		scores.Relative = &kernels.Relative{
			Keys: a.PositionKeys, Queries: a.PositionQueries, Table: b[attentionTable], Rows: b[attentionRows], Reach: a.Reach,
		}
	}
	op, err := l.NewAttention(scores)
	if err != nil {
		return err
	}
	at := func(columns int) metal.Binding {
		return metal.At(b[0].Buffer, b[0].OffsetBytes+columns*a.DType.Size())
	}
	rows := kernels.AttentionRows{
		Q: b[0], QueryStride: 3 * h, K: at(h), V: at(2 * h), KeyStride: 3 * h,
		Items: b[2], Count: items, Out: b[3], OutStride: h,
	}
	if a.First {
		rows.Q, rows.QueryStride, rows.Alone = b[1], h, true
	}
	return op.Record(r, rows)
}

// suffix is the part of a case's name that only windows, slopes and positions have.
func (a Attention) suffix() string {
	name := ""
	if a.Window > 0 {
		name += fmt.Sprintf(" window %d", a.Window)
	}
	if a.Slopes {
		name += " slopes"
	}
	if a.terms() > 1 {
		name += fmt.Sprintf(" positions to %d: keys %v queries %v", a.Reach, a.PositionKeys, a.PositionQueries)
	}
	return name
}

// terms is how many products a score is the sum of.
func (a Attention) terms() int {
	n := 1
	for _, is := range []bool{a.PositionKeys, a.PositionQueries} {
		if is {
			n++
		}
	}
	return n
}

// position is the table's row for a distance. Neighbours have rows far from each other, and some share one.
func (a Attention) position(distance int) int {
	return (min(max(distance, -a.Reach), a.Reach) + a.Reach) * 7 % positionRows
}

func (a Attention) rows() []byte {
	var raw []byte
	for distance := -a.Reach; distance <= a.Reach; distance++ {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(a.position(distance)))
	}
	return raw
}

// leastTable is the bytes of the rows of the table that distances have, and of their numbers.
func (a Attention) leastTable() int {
	longest, used := slices.Max(a.Lengths)-1, map[int]bool{}
	first := -longest
	if a.Window > 0 {
		longest, first = min(longest, a.Window), max(first, -a.Window)
	}
	if a.First {
		longest = 0
	}
	for distance := first; distance <= longest; distance++ {
		used[a.position(distance)] = true
	}
	return len(used)*a.Heads*a.HeadSize*(a.terms()-1)*a.DType.Size() + 4*(min(longest, a.Reach)-max(first, -a.Reach)+1)
}

// slopes are of both signs, between 1/32 and 1 or their negatives.
func (a Attention) slopes(seed uint64) problem.Operand {
	o := vectors("slopes", a.Heads, 1, seed)
	for i, x := range o.Values {
		o.Values[i] = math.Copysign(max(min(math.Abs(x), 1), 1./32), x)
	}
	return o
}

// keys is the range of keys that a query of a sequence from begin to end sees.
func (a Attention) keys(query, begin, end int) (first, last int) {
	if a.Window == 0 {
		return begin, end
	}
	return max(begin, query-a.Window), min(end, query+a.Window+1)
}

// fall adds 4 to all queries and takes multiples of 2 from keys, so that scores fall by 8·√D for every 32 keys.
func (a Attention) fall(c *Case, starts []int32) {
	h := a.Heads * a.HeadSize
	qkv, first := c.Operands[0].Values, c.Operands[1].Values
	for b := range a.Lengths {
		for t := int(starts[b]); t < int(starts[b+1]); t++ {
			for e := range h {
				qkv[t*3*h+e] = rounded(kernels.F16, qkv[t*3*h+e]+4)
				step := (t - int(starts[b])) / 32
				qkv[t*3*h+h+e] = rounded(kernels.F16, qkv[t*3*h+h+e]-float64(2*(step+4)))
			}
		}
	}
	for i := range first {
		first[i] = rounded(kernels.F16, first[i]+4)
	}
}

func (a Attention) answer(c *Case, starts []int32) {
	h := a.Heads * a.HeadSize
	c.Want, c.Allowed = make([]float64, a.queries()*h), make([]float64, a.queries()*h)
	qkv, first := c.Operands[0].Values, c.Operands[1].Values
	for b := range a.Lengths {
		begin, end := int(starts[b]), int(starts[b+1])
		if a.First {
			a.row(c, b, begin, first[b*h:(b+1)*h], begin, end)
			continue
		}
		for i := begin; i < end; i++ {
			a.row(c, i, i, qkv[i*3*h:i*3*h+h], begin, end)
		}
	}
}

// row fills in row `at` of the answer: a query, token number i, against the keys that it sees of begin to end.
//
// Allowed: a score, n·D products in f32, is off by (D+n+1)·2⁻²⁴·Σ|q·k|/√(D·n), and by three roundings of what it loses by distance: of
// the slope times log2(e), of its product, and of the difference, whose other operand has one, too. exp turns that into a relative error of p; exp2
// itself is off by 4 ulp and by its argument's rounding, |score - most|·2⁻²³, and Metal's fast variant, which half takes,
// by 2·log2(e)·|score - most| ulp more; p is rounded to the dtype, the sums of n terms are f32: all relative to
// Σ p|v| / Σ p, where Σ p is at least 1, the p of the greatest score. Subnormal halves add their spacing for each key. One
// rounding at the store.
func (a Attention) row(c *Case, at, i int, q []float64, begin, end int) {
	h, d := a.Heads*a.HeadSize, a.HeadSize
	qkv, table := c.Operands[0].Values, c.Operands[attentionTable].Values
	begin, end = a.keys(i, begin, end)
	scale := 1 / math.Sqrt(float64(d*a.terms()))
	scores := make([]float64, end-begin)
	for head := range a.Heads {
		column, most, off := head*d, math.Inf(-1), 0.0
		for j := range scores {
			key := qkv[(begin+j)*3*h+h+column:]
			var sum, magnitude float64
			add := func(x, y []float64) {
				for e := range d {
					sum, magnitude = sum+x[e]*y[e], magnitude+math.Abs(x[e]*y[e])
				}
			}
			add(q[column:], key)
			at := a.position(i-begin-j)*h*(a.terms()-1) + column
			if a.PositionKeys {
				add(q[column:], table[at:])
				at += h
			}
			if a.PositionQueries {
				add(key, table[at:])
			}
			scores[j] = sum * scale
			size := float64(d+a.terms()+1) * magnitude * scale
			if a.Slopes {
				fall := c.Operands[attentionSlopes].Values[head] * math.Abs(float64(i-begin-j))
				scores[j] -= fall
				size += 3 * math.Abs(fall)
			}
			most = max(most, scores[j])
			off = max(off, size*problem.FloatRoundoff)
		}
		far := 2.0 // relative error of p for each unit of most - score, in roundoffs
		if a.DType == kernels.F16 {
			far += 4 * math.Log2E
		}
		relative := func(score float64) float64 { return 2*off + (far*(most-score)+8)*problem.FloatRoundoff }
		var total, totalOff float64
		for _, score := range scores {
			total += math.Exp(score - most)
			totalOff += math.Exp(score-most) * relative(score)
		}
		for e := range d {
			var sum, allowed float64
			for j, score := range scores {
				v, p := qkv[(begin+j)*3*h+2*h+column+e], math.Exp(score-most)
				sum += p * v
				allowed += p * math.Abs(v) * (relative(score) + roundoff(a.DType) + float64(len(scores)+8)*problem.FloatRoundoff)
				if a.DType == kernels.F16 {
					allowed += problem.HalfTiny * math.Abs(v)
				}
			}
			// The total is off, too, by the same relative errors, without the rounding to the dtype.
			slack := totalOff/total + float64(len(scores)+8)*problem.FloatRoundoff
			c.Want[at*h+column+e] = sum / total
			c.Allowed[at*h+column+e] = allowed/total + math.Abs(sum/total)*slack + stored(a.DType, sum/total)
		}
	}
	c.FLOPs += 2 * float64((end-begin)*h*(a.terms()+1)) // each of the terms, and p·v
}
