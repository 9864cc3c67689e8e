package selftest

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
)

// Epilogue is a linear layer that does more than add: kernels.Linear says what.
type Epilogue struct {
	Gemm
	Gated    bool
	HeadSize int // of heads with rotary positions, of which Turned columns are; 0: none
	Turned   int
	Normed   bool
	RMS      bool // that norm leaves the mean where it is
	Kept     bool
	Answer   int // the operand that is compared: gemmY, or of a kept sum gemmSum or gemmStatistics
}

// Indices of an Epilogue's operands behind a Gemm's.
const (
	gemmTurns = gemmIndex + 1 + iota
	gemmPositions
	gemmStatistics
	gemmSum
)

const (
	turnedPositions = 5
	stripColumns    = 64 // of statistics
)

func (e Epilogue) name() string {
	var name strings.Builder
	name.WriteString(e.Gemm.name())
	for _, flag := range []struct {
		set  bool
		text string
	}{
		{e.Gated, " gated"}, {e.HeadSize != 0, " turned"}, {e.Normed, " normed"}, {e.RMS, " rms"}, {e.Kept, " kept"},
		{e.Answer == gemmSum, ", its sum"}, {e.Answer == gemmStatistics, ", its statistics"},
	} {
		if flag.set {
			name.WriteString(flag.text)
		}
	}
	return name.String()
}

// width is how many columns y has.
func (e Epilogue) width() int {
	if e.Gated {
		return e.N / 2
	}
	return e.N
}

// Case makes operands and answer. Allowed: the sums as Gemm.Case has them; a norm by a row's statistics multiplies that by
// 1/deviation, which itself is off by some roundings of numbers as large as the means' spread; turning is three operations; a
// gate's error counts with the value, and the value's with the gate.
func (e Epilogue) Case() Case {
	plain := e.Gemm
	plain.Unanswered = true
	c := plain.Case()
	rows, random := len(c.Operands[gemmA].Values)/e.K, rand.New(rand.NewPCG(uint64(e.M*7+e.N), 8))
	none := problem.Operand{Name: "none", Raw: []byte{0, 0, 0, 0}}
	turns, positions, statistics, sum := none, none, none, none
	of := make([]int, rows)
	if e.HeadSize != 0 {
		turns = problem.Operand{Name: "turns"}
		for range turnedPositions * e.HeadSize / 2 {
			angle := random.Float64() * 7
			turns.Values = append(turns.Values, rounded(kernels.F32, math.Cos(angle)), rounded(kernels.F32, math.Sin(angle)))
		}
		for i := range of {
			of[i] = random.IntN(turnedPositions)
		}
		positions = problem.Operand{Name: "positions", Raw: wordsOf(of)}
	}
	if e.Normed {
		statistics = problem.Operand{Name: "statistics", Values: e.madeStatistics(rows, random)}
	}
	if e.shifted() || e.Kept {
		c.Operands[gemmVectors] = vectors("vectors", 2*e.N, 1, e.seed()+3)
	}
	c.Operands[gemmY].SizeBytes = e.M * e.width() * e.DType.Size()
	if e.Kept {
		c.Operands[gemmResidual].Half = false
		statistics, sum = output("statistics", kernels.F32, e.M*e.strips()*2), output("sum", kernels.F32, e.M*e.N)
	}
	c.Operands = append(c.Operands, turns, positions, statistics, sum)
	c.Name, c.record = e.name(), e.record
	if e.Answer != 0 {
		c.Result = e.Answer
	}
	e.answer(&c, of)
	return c
}

// madeStatistics are those of rows of K numbers, with means of strips that differ.
func (e Epilogue) madeStatistics(rows int, random *rand.Rand) (values []float64) {
	for range rows {
		shift := random.NormFloat64()
		for first := 0; first < e.K; first += stripColumns {
			squares := float64(min(stripColumns, e.K-first)) * (0.5 + random.Float64())
			values = append(values, rounded(kernels.F32, shift+random.NormFloat64()), rounded(kernels.F32, squares))
		}
	}
	return values
}

// shifted says whether the norm subtracts a mean: that times the second row of vectors.
func (e Epilogue) shifted() bool { return e.Normed && !e.RMS }

func (e Epilogue) strips() int { return (e.N + stripColumns - 1) / stripColumns }

// Variants returns the case once for each variant; the answer is computed once.
func (e Epilogue) Variants(variants []kernels.Variant) []Case {
	return eachVariant(e.Case(), e.Shape(), variants, func(variant string) (string, recordFunc) {
		e.Variant = variant
		return e.name(), e.record
	})
}

func (e Epilogue) record(l *kernels.Library, r *kernels.Recorder, b []metal.Binding) error {
	linear := e.linear(b)
	linear.Gated, linear.Turned, linear.HeadSize, linear.Turns = e.Gated, e.Turned, e.HeadSize, b[gemmTurns]
	linear.Normed, linear.Epsilon, linear.RMS, linear.Kept = e.Normed, epsilon, e.RMS, e.Kept
	op, err := l.NewGemm(linear)
	if err != nil {
		return err
	}
	return op.Record(r, kernels.Rows{
		M: e.M, A: b[gemmA], Y: b[gemmY], Residual: b[gemmResidual], Index: b[gemmIndex],
		Positions: b[gemmPositions], Statistics: b[gemmStatistics], Sum: b[gemmSum],
	})
}

// row is a row of results and their errors.
type row struct{ values, allowed []float64 }

func (e Epilogue) answer(c *Case, positions []int) {
	index := make([]int, e.M)
	for i := range index {
		index[i] = int(binary.LittleEndian.Uint32(c.Operands[gemmIndex].Raw[4*i:]))
	}
	_, w := e.weights(e.seed())
	vectors, shift := c.Operands[gemmVectors].Values, make([]float64, e.N)
	if e.shifted() {
		shift = vectors[e.N:]
	}
	for m := range e.M {
		from := m
		if e.GatherA {
			from = index[m]
		}
		r, magnitudes := e.sums(c, from, w)
		if e.Normed {
			e.normed(r, magnitudes, c.Operands[gemmStatistics].Values[2*from*((e.K+stripColumns-1)/stripColumns):], shift)
		}
		residual := m
		if e.GatherResidual {
			residual = index[m]
		}
		for n := range e.N {
			add := vectors[n]
			if e.Residual {
				add += c.Operands[gemmResidual].Values[residual*e.N+n]
			}
			r.values[n] += add
			r.allowed[n] += 3 * problem.FloatRoundoff * (math.Abs(r.values[n]) + 2*math.Abs(add))
		}
		if e.HeadSize != 0 {
			e.turn(r, c.Operands[gemmTurns].Values[positions[from]*e.HeadSize:])
		}
		e.finish(c, r, vectors[e.N:])
	}
}

// sums are the products of a row, and the sums of their magnitudes.
func (e Epilogue) sums(c *Case, from int, w []float64) (r row, magnitudes []float64) {
	r = row{make([]float64, e.N), make([]float64, e.N)}
	magnitudes = make([]float64, e.N)
	for n := range e.N {
		for k, x := range c.Operands[gemmA].Values[from*e.K : (from+1)*e.K] {
			r.values[n] += x * w[n*e.K+k]
			magnitudes[n] += math.Abs(x * w[n*e.K+k])
		}
		r.allowed[n] = float64(e.K+3) * problem.FloatRoundoff * magnitudes[n]
	}
	return r, magnitudes
}

// normed applies the norm of a row of statistics.
func (e Epilogue) normed(r row, magnitudes, statistics, shift []float64) {
	var mean, squares, spread float64
	for s, first := 0, 0; first < e.K && !e.RMS; s, first = s+1, first+stripColumns {
		mean += statistics[2*s] * float64(min(stripColumns, e.K-first)) / float64(e.K)
	}
	for s, first := 0, 0; first < e.K; s, first = s+1, first+stripColumns {
		n, distance := float64(min(stripColumns, e.K-first)), statistics[2*s]-mean
		squares += statistics[2*s+1] + n*distance*distance
		spread = max(spread, math.Abs(statistics[2*s]), math.Abs(statistics[0]-mean))
	}
	variance := squares/float64(e.K) + epsilon
	inverse := kernels.KeptShrink / math.Sqrt(variance)
	steps := float64(e.K/stripColumns + 12)
	off := steps * problem.FloatRoundoff * (1 + 4*spread*spread/variance) // of inverse, relative
	for n := range r.values {
		apart := r.values[n] - mean*shift[n]
		meanOff := steps * problem.FloatRoundoff * 4 * spread * math.Abs(shift[n])
		r.allowed[n] = inverse * (r.allowed[n] + meanOff + off*math.Abs(apart) + 4*problem.FloatRoundoff*(magnitudes[n]+math.Abs(mean*shift[n])))
		r.values[n] = inverse * apart
	}
}

// turn turns pairs of the first columns by cosines and sines of their position.
func (e Epilogue) turn(r row, turns []float64) {
	for n := 0; n < e.Turned; n += 2 {
		at := n % e.HeadSize
		cos, sin := turns[at], turns[at+1]
		x, y := r.values[n], r.values[n+1]
		off := r.allowed[n]*math.Abs(cos) + r.allowed[n+1]*math.Abs(sin) + 3*problem.FloatRoundoff*(math.Abs(x)+math.Abs(y))
		other := r.allowed[n]*math.Abs(sin) + r.allowed[n+1]*math.Abs(cos) + 3*problem.FloatRoundoff*(math.Abs(x)+math.Abs(y))
		r.values[n], r.values[n+1] = x*cos-y*sin, y*cos+x*sin
		r.allowed[n], r.allowed[n+1] = off, other
	}
}

// finish appends to the answer what a row becomes; gamma is the second row of vectors.
func (e Epilogue) finish(c *Case, r row, gamma []float64) {
	add := func(d kernels.DType, value, allowed float64) {
		c.Want, c.Allowed = append(c.Want, value), append(c.Allowed, allowed+stored(d, value))
	}
	switch {
	case e.Answer == gemmStatistics:
		values, allowed := stripsOf(r.values, r.allowed)
		for i, value := range values {
			add(kernels.F32, value, allowed[i])
		}
	case e.Gated:
		for n := 0; n < e.N; n += 2 {
			gate, off := activate(e.Activation, r.values[n]), activated(e.DType, e.Activation, r.values[n], r.allowed[n])
			value, valueOff := r.values[n+1], r.allowed[n+1]
			add(e.DType, gate*value, off*math.Abs(value)+(math.Abs(gate)+off)*valueOff+problem.FloatRoundoff*math.Abs(gate*value))
		}
	default:
		for n, value := range r.values {
			switch {
			case e.Answer == gemmSum:
				add(kernels.F32, value, r.allowed[n])
			case e.Kept:
				add(e.DType, value*gamma[n], (r.allowed[n]+problem.FloatRoundoff*math.Abs(value))*math.Abs(gamma[n]))
			default:
				add(e.DType, activate(e.Activation, value), activated(e.DType, e.Activation, value, r.allowed[n]))
			}
		}
	}
}

// stripsOf are the statistics of a row's strips, and their errors.
func stripsOf(values, allowed []float64) (statistics, off []float64) {
	for first := 0; first < len(values); first += stripColumns {
		end := min(len(values), first+stripColumns)
		mean, squares, meanOff, squaresOff := row{values[first:end], allowed[first:end]}.statistics()
		statistics, off = append(statistics, mean, squares), append(off, meanOff, squaresOff)
	}
	return statistics, off
}

// statistics are the mean of a strip, and the sum of squared distances from it, with their errors: every number is off by the
// greatest error of them, and sums of 64 in three steps round a few times.
func (r row) statistics() (mean, squares, meanOff, squaresOff float64) {
	n := float64(len(r.values))
	var off, magnitude float64
	for i, v := range r.values {
		mean += v / n
		off, magnitude = max(off, r.allowed[i]), max(magnitude, math.Abs(v))
	}
	meanOff = off + 8*problem.FloatRoundoff*magnitude
	for _, v := range r.values {
		squares += (v - mean) * (v - mean)
		squaresOff += 2 * math.Abs(v-mean) * (off + meanOff)
	}
	return mean, squares, meanOff, squaresOff + n*4*meanOff*meanOff + 24*problem.FloatRoundoff*squares
}

// epilogueCases have each of the epilogues, and those that a layer has together, with all variants.
func epilogueCases(d kernels.DType) []Case {
	var cases []Case
	for i, g := range []Gemm{
		{M: 9, N: 24, K: 12}, {M: 70, N: 136, K: 132}, {M: 33, N: 96, K: 100}, {M: 350, N: 16, K: 8},
		{M: 70, N: 144, K: 160, Bits: 4, GroupSize: 32}, {M: 33, N: 72, K: 96, Bits: 8, GroupSize: 32},
	} {
		g.DType = d
		activation := []kernels.Activation{kernels.GELU, kernels.SiLU, kernels.GELUNew, kernels.ReLU}[i%4]
		gated, turned, kept := Epilogue{Gemm: g, Gated: true}, Epilogue{Gemm: g, HeadSize: 8, Turned: 16}, Epilogue{Gemm: g, Kept: true}
		gated.Activation = activation
		turned.GatherA = i%2 == 0
		kept.Residual, kept.GatherResidual = i != 1, i%2 == 0
		normed, both := Epilogue{Gemm: g, Normed: true}, turned
		normed.GatherA, normed.Gated, both.Normed = i%2 == 1, i%3 == 2, true
		rms := both
		rms.RMS = true
		sum, statistics := kept, kept
		sum.Answer, statistics.Answer = gemmSum, gemmStatistics
		for _, e := range []Epilogue{gated, turned, kept, sum, statistics, normed, both, rms} {
			if g.M == 70 {
				cases = append(cases, e.Variants(kernels.Candidates(g.Shape(), anyDevice))...)
			} else {
				cases = append(cases, e.Case())
			}
		}
	}
	return cases
}
