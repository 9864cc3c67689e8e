package calibrate

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/metalrank/metalrank/weights/quant"
)

// inputs returns rows with correlated columns, as a model has them.
func inputs(r *rand.Rand, rows, width int) []float64 {
	mix := make([]float64, 4*width)
	for i := range mix {
		mix[i] = r.NormFloat64()
	}
	x := make([]float64, rows*width)
	for row := range rows {
		for k := range 4 { // few directions for many columns
			s := r.NormFloat64()
			for i := range width {
				x[row*width+i] += s * mix[k*width+i]
			}
		}
		for i := range width {
			x[row*width+i] += 0.3 * r.NormFloat64()
		}
	}
	return x
}

func weights(r *rand.Rand, n int) []float32 {
	w := make([]float32, n)
	for i := range w {
		w[i] = float32(0.05 * r.NormFloat64())
	}
	return w
}

func rounding(t *testing.T, x []float64, width int) *Rounding {
	t.Helper()
	var m Moments
	half := len(x) / width / 2 * width
	m.Add([]string{"a", "b"}, x[:half], width)
	m.Add([]string{"a", "b"}, x[half:], width)
	r, err := m.Rounding("b")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// damped returns H of [Rounding], summed up element by element.
func damped(x []float64, width int) *mat.SymDense {
	h, mean := mat.NewSymDense(width, nil), 0.0
	for i := range width {
		for j := i; j < width; j++ {
			sum := 0.0
			for row := 0; row < len(x); row += width {
				sum += x[row+i] * x[row+j]
			}
			h.SetSym(i, j, sum)
		}
		mean += h.At(i, i) / float64(width)
	}
	for i := range width {
		h.SetSym(i, i, h.At(i, i)+0.01*mean)
	}
	return h
}

// oneByOne rounds from left to right, and each time solves for the rest that makes the error least, as the factor of the
// inverse does: with d = w - ŵ of the rounded weights, rest = w + H_rr⁻¹ H_rd d.
func oneByOne(t *testing.T, h *mat.SymDense, w []float32, scale float32) []byte {
	t.Helper()
	n := len(w)
	codes, d := make([]byte, n), mat.NewVecDense(n, nil)
	for i := range n {
		v := float64(w[i])
		if i > 0 {
			var solved mat.VecDense
			rest, right := mat.NewSymDense(n-i, nil), mat.NewVecDense(n-i, nil)
			for a := range n - i {
				for b := a; b < n-i; b++ {
					rest.SetSym(a, b, h.At(i+a, i+b))
				}
				for b := range i {
					right.SetVec(a, right.AtVec(a)+h.At(i+a, b)*d.AtVec(b))
				}
			}
			if err := solved.SolveVec(rest, right); err != nil {
				t.Fatal(err)
			}
			v += solved.AtVec(0)
		}
		code := min(max(math.RoundToEven(v/float64(scale)), -127), 127)
		codes[i] = byte(int8(code))
		d.SetVec(i, float64(w[i])-code*float64(scale))
	}
	return codes
}

func TestAgainstOneByOne(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, width := range []int{1, 2, 7, 24} {
		x := inputs(r, 50, width)
		by, h := rounding(t, x, width), damped(x, width)
		for range 20 {
			w, codes := weights(r, width), make([]byte, width)
			scale := quant.FitChannel(w, quant.ChannelLevels) * 8 // coarse, so that errors count
			by.EncodeChannel(codes, w, scale)
			if want := oneByOne(t, h, w, scale); !slices.Equal(codes, want) {
				t.Errorf("width %d: codes %v, want %v", width, codes, want)
			}
		}
	}
}

// outputError is the sum of squares of (w - ŵ) x over all inputs.
func outputError(x []float64, w, made []float32) (sum float64) {
	for row := 0; row < len(x); row += len(w) {
		e := 0.0
		for i, v := range w {
			e += (float64(v) - float64(made[i])) * x[row+i]
		}
		sum += e * e
	}
	return sum
}

// TestError: for unseen inputs of the same kind, the error of the outputs is less than a quarter of that with rounding
// to nearest.
func TestError(t *testing.T) {
	const width = 128
	r := rand.New(rand.NewPCG(3, 4))
	all := inputs(r, 600, width)
	seen, unseen := all[:400*width], all[400*width:]
	by := rounding(t, seen, width)
	for _, scheme := range []quant.Affine{{GroupSize: 32, Bits: 4}, {GroupSize: 64, Bits: 4}, {GroupSize: 32, Bits: 8}, {GroupSize: 128, Bits: 3}} {
		var before, after float64
		for range 20 {
			w, made := weights(r, width), make([]float32, width)
			q := scheme.Quantize(w)
			q.Decode(made)
			before += outputError(unseen, w, made)
			q = scheme.Make(width)
			by.Encode(q, w, func([]float32) {})
			q.Decode(made)
			after += outputError(unseen, w, made)
		}
		if !(after < before/4) {
			t.Errorf("%d bits in groups of %d: error %g, to nearest %g", scheme.Bits, scheme.GroupSize, after, before)
		}
	}
}

// TestIndependent: where inputs are uncorrelated, weights are rounded to nearest.
func TestIndependent(t *testing.T) {
	const width = 64
	r := rand.New(rand.NewPCG(5, 6))
	x := make([]float64, width*width)
	for i := range width {
		x[i*width+i] = 1 + r.Float64()
	}
	by := rounding(t, x, width)
	w := weights(r, width)
	codes, want, scale := make([]byte, width), make([]byte, width), quant.FitChannel(w, quant.ChannelLevels)
	by.EncodeChannel(codes, w, scale)
	quant.EncodeChannel(want, w, scale)
	if !slices.Equal(codes, want) {
		t.Errorf("codes %v, want %v", codes, want)
	}
}

func TestMomentsErrors(t *testing.T) {
	var m Moments
	if r, err := m.Rounding("a"); r != nil || err != nil {
		t.Error(r, err)
	}
	m.Add([]string{"a"}, []float64{0, 0, 0, 0}, 2)
	m.Add([]string{"b"}, []float64{math.NaN(), 1}, 2)
	for _, layer := range []string{"a", "b"} {
		if _, err := m.Rounding(layer); err == nil || !strings.Contains(err.Error(), "want inputs that are finite and not all 0") {
			t.Error(layer, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a layer with two inputs")
		}
	}()
	m.Add([]string{"a", "b"}, []float64{1, 1}, 2)
}
