package selftest

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
)

// Attention is attention over packed sequences, with q, k and v side by side as a layer leaves them.
type Attention struct {
	DType           kernels.DType
	Heads, HeadSize int
	KeyHeads        int   // heads of keys and values; 0: Heads
	Lengths         []int // of the sequences
	First           bool  // of the first token of each sequence alone
	Last            bool  // of the last token of each sequence alone
	Causal          bool
	Prefixes        []int32 // of each sequence the one whose tokens come before its own, or -1; nil: none
	Window          int     // keys to each side of a query that it sees; 0: all
	Slopes          bool    // scores fall with distance
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
	attentionPrefixes
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
	if a.alone() {
		return len(a.Lengths)
	}
	return int(a.starts()[len(a.Lengths)])
}

// alone says whether out has one row for each sequence.
func (a Attention) alone() bool { return a.First || a.Last }

// keyHeads is G.
func (a Attention) keyHeads() int { return cmp.Or(a.KeyHeads, a.Heads) }

// width is that of a row of queries, keys and values.
func (a Attention) width() int { return (a.Heads + 2*a.keyHeads()) * a.HeadSize }

// work is the list of items, and of causal attention that of their prefixes.
func (a Attention) work() (list kernels.CausalItems) {
	starts := a.starts()
	switch {
	case a.Causal:
		list.Append(starts, a.Prefixes, a.Window, a.Last)
	case a.First, a.Last:
		list.Items = kernels.AppendSingleItems(nil, starts, a.Window, a.Last)
	default:
		list.Items = kernels.AppendItems(nil, starts, a.Window)
	}
	return list
}

// Case makes operands and answer.
func (a Attention) Case() Case {
	starts := a.starts()
	tokens, h := int(starts[len(a.Lengths)]), a.Heads*a.HeadSize
	seed := uint64(tokens*101 + h)
	work := a.work()
	var raw, prefixes []byte
	for _, item := range work.Items {
		for _, v := range []uint32{item.Key, item.Keys, item.Query, item.Queries} {
			raw = binary.LittleEndian.AppendUint32(raw, v)
		}
	}
	for _, prefix := range work.Prefixes {
		prefixes = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(prefixes, prefix.Key), prefix.Keys)
	}
	seen := map[int]bool{} // rows of keys
	for i := range a.Lengths {
		for _, t := range a.tokens(i) {
			for _, key := range a.keys(i, t) {
				seen[key.row] = true
			}
		}
	}
	least := 2*(len(seen)*a.keyHeads()*a.HeadSize+a.queries()*h)*a.DType.Size() + len(raw) + len(prefixes)
	lengths := fmt.Sprint(a.Lengths)
	if len(a.Lengths) > 8 {
		lengths = fmt.Sprintf("%d sequences", len(a.Lengths))
	}
	c := Case{File: "attention.metal", DType: a.DType, LeastBytes: least, Problem: problem.Problem{
		Name:   fmt.Sprintf("attention %s %dx%d %s first %v%s", a.DType, a.Heads, a.HeadSize, lengths, a.First, a.suffix()),
		Result: 3,
		Operands: []problem.Operand{
			input("qkv", a.DType, tokens*a.width(), 1, seed), input("q alone", a.DType, len(a.Lengths)*h, 1, seed+1),
			{Name: "items", Raw: raw}, output("out", a.DType, a.queries()*h), a.slopes(seed + 2),
			input("table", a.DType, positionRows*h*max(a.terms()-1, 1), 1, seed+3), {Name: "rows of distances", Raw: a.rows()},
			{Name: "prefixes", Raw: append(prefixes, make([]byte, 4)...)[:max(len(prefixes), 4)]},
		},
	}}
	if a.Slopes {
		c.LeastBytes += 4 * a.Heads
	}
	if a.terms() > 1 {
		c.LeastBytes += a.leastTable()
	}
	c.record = func(l *kernels.Library, r *kernels.Recorder, b []metal.Binding) error {
		return a.record(l, r, b, len(work.Items))
	}
	if a.Falling {
		c.Name += " falling"
		a.fall(&c, starts)
	}
	a.answer(&c)
	return c
}

// record records a run over so many items.
func (a Attention) record(l *kernels.Library, r *kernels.Recorder, b []metal.Binding, items int) error {
	h := a.Heads * a.HeadSize
	scores := kernels.Scores{Heads: a.Heads, Size: a.HeadSize, KeyHeads: a.KeyHeads, Window: a.Window, Causal: a.Causal}
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
		Q: b[0], QueryStride: a.width(), K: at(h), V: at(h + a.keyHeads()*a.HeadSize), KeyStride: a.width(),
		Items: b[2], Prefixes: b[attentionPrefixes], Count: items, Out: b[3], OutStride: h,
	}
	if a.alone() {
		rows.Q, rows.QueryStride, rows.Placed = b[1], h, kernels.First
	}
	if a.Last {
		rows.Placed = kernels.Last
	}
	return op.Record(r, rows)
}

// suffix is the part of a case's name that says more than sizes.
func (a Attention) suffix() string {
	var name strings.Builder
	for _, flag := range []struct {
		set  bool
		text string
	}{
		{a.KeyHeads != 0, fmt.Sprintf(" keys of %d", a.KeyHeads)}, {a.Last, " last"}, {a.Causal, " causal"},
		{a.Prefixes != nil, fmt.Sprintf(" prefixes %v", a.Prefixes)}, {a.Window > 0, fmt.Sprintf(" window %d", a.Window)},
		{a.Slopes, " slopes"},
		{a.terms() > 1, fmt.Sprintf(" positions to %d: keys %v queries %v", a.Reach, a.PositionKeys, a.PositionQueries)},
	} {
		if flag.set {
			name.WriteString(flag.text)
		}
	}
	return name.String()
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
	if a.Causal || a.Last {
		first = 0
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

// seenKey is a key that a query sees: its row, and the distance of the query's token from the key's.
type seenKey struct{ row, distance int }

// keys are those that token t of sequence b sees.
func (a Attention) keys(b, t int) (all []seenKey) {
	starts := a.starts()
	var rows []int
	add := func(sequence int) {
		for row := starts[sequence]; row < starts[sequence+1]; row++ {
			rows = append(rows, int(row))
		}
	}
	if len(a.Prefixes) > 0 && a.Prefixes[b] >= 0 {
		add(int(a.Prefixes[b]))
	}
	position := len(rows) + t - int(starts[b])
	add(b)
	for i, row := range rows {
		distance := position - i
		if (a.Window == 0 || max(distance, -distance) <= a.Window) && (!a.Causal || distance >= 0) {
			all = append(all, seenKey{row, distance})
		}
	}
	return all
}

// tokens are those of sequence b that have a query.
func (a Attention) tokens(b int) (all []int) {
	starts := a.starts()
	for t := int(starts[b]); t < int(starts[b+1]); t++ {
		if !a.alone() || a.First && t == int(starts[b]) || a.Last && t == int(starts[b+1])-1 {
			all = append(all, t)
		}
	}
	return all
}

// fall adds 4 to all queries and takes multiples of 2 from keys, so that scores fall by 8·√D for every 32 keys.
func (a Attention) fall(c *Case, starts []int32) {
	h, width := a.Heads*a.HeadSize, a.width()
	qkv, first := c.Operands[0].Values, c.Operands[1].Values
	for b := range a.Lengths {
		for t := int(starts[b]); t < int(starts[b+1]); t++ {
			for e := range h {
				qkv[t*width+e] = rounded(kernels.F16, qkv[t*width+e]+4)
			}
			for e := range a.keyHeads() * a.HeadSize {
				step := (t - int(starts[b])) / 32
				qkv[t*width+h+e] = rounded(kernels.F16, qkv[t*width+h+e]-float64(2*(step+4)))
			}
		}
	}
	for i := range first {
		first[i] = rounded(kernels.F16, first[i]+4)
	}
}

func (a Attention) answer(c *Case) {
	h := a.Heads * a.HeadSize
	c.Want, c.Allowed = make([]float64, a.queries()*h), make([]float64, a.queries()*h)
	qkv, first := c.Operands[0].Values, c.Operands[1].Values
	for b := range a.Lengths {
		for _, t := range a.tokens(b) {
			if keys := a.keys(b, t); a.alone() {
				a.row(c, b, first[b*h:(b+1)*h], keys)
			} else {
				a.row(c, t, qkv[t*a.width():t*a.width()+h], keys)
			}
		}
	}
}

// far is the relative error of p for each unit of most - score, in roundoffs.
func (a Attention) far() float64 {
	if a.DType == kernels.F16 {
		return 2 + 4*math.Log2E
	}
	return 2
}

// row fills in row `at` of the answer: a query against the keys that it sees.
//
// Allowed: a score, n·D products in f32, is off by (D+n+1)·2⁻²⁴·Σ|q·k|/√(D·n), and by three roundings of what it loses by distance: of
// the slope times log2(e), of its product, and of the difference, whose other operand has one, too. exp turns that into a relative error of p; exp2
// itself is off by 4 ulp and by its argument's rounding, |score - most|·2⁻²³, and Metal's fast variant, which half takes,
// by 2·log2(e)·|score - most| ulp more; p is rounded to the dtype, the sums of n terms are f32: all relative to
// Σ p|v| / Σ p, where Σ p is at least 1, the p of the greatest score. Subnormal halves add their spacing for each key. One
// rounding at the store.
func (a Attention) row(c *Case, at int, q []float64, keys []seenKey) {
	h, d, width := a.Heads*a.HeadSize, a.HeadSize, a.width()
	qkv, table := c.Operands[0].Values, c.Operands[attentionTable].Values
	scale := 1 / math.Sqrt(float64(d*a.terms()))
	scores := make([]float64, len(keys))
	for head := range a.Heads {
		column, most, off := head*d, math.Inf(-1), 0.0
		keyColumn := h + head*a.keyHeads()/a.Heads*d
		for j, seen := range keys {
			key := qkv[seen.row*width+keyColumn:]
			var sum, magnitude float64
			add := func(x, y []float64) {
				for e := range d {
					sum, magnitude = sum+x[e]*y[e], magnitude+math.Abs(x[e]*y[e])
				}
			}
			add(q[column:], key)
			at := a.position(seen.distance)*h*(a.terms()-1) + column
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
				fall := c.Operands[attentionSlopes].Values[head] * math.Abs(float64(seen.distance))
				scores[j] -= fall
				size += 3 * math.Abs(fall)
			}
			most = max(most, scores[j])
			off = max(off, size*problem.FloatRoundoff)
		}
		relative := func(score float64) float64 { return 2*off + (a.far()*(most-score)+8)*problem.FloatRoundoff }
		var total, totalOff float64
		for _, score := range scores {
			total += math.Exp(score - most)
			totalOff += math.Exp(score-most) * relative(score)
		}
		for e := range d {
			var sum, allowed float64
			for j, score := range scores {
				v, p := qkv[keys[j].row*width+keyColumn+a.keyHeads()*d+e], math.Exp(score-most)
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
	c.FLOPs += 2 * float64(len(keys)*h*(a.terms()+1)) // each of the terms, and p·v
}
