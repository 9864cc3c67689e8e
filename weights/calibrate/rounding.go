package calibrate

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/gonum"

	"github.com/metalrank/metalrank/weights/quant"
)

// Rounding is the order and the arithmetic of GPTQ (Frantar, Ashkboos, Hoefler, Alistarh: "GPTQ: Accurate Post-Training
// Quantization for Generative Pre-trained Transformers", ICLR 2023, algorithm 1). A row w of weights is to become ŵ so
// that the square of the output's error over all inputs, (w - ŵ) XᵀX (w - ŵ)ᵀ, is small. Weights are rounded from left
// to right, and the weights that are not yet rounded compensate for the error of each rounded one:
//
//	H = XᵀX + 0.01 · mean(diag XᵀX) · I,  U upper triangular with UᵀU = H⁻¹
//	for each i:  e = (w[i] - ŵ[i]) / U[i,i];  w[j] -= e · U[i,j] for all j > i
type Rounding struct {
	upper blas64.General // [width, width]; values below the diagonal are unused
}

// damping keeps H from being singular where an input never varies; the paper's value.
const damping = 0.01

// newRounding factorises H in place of the sum. It calls the routines themselves and not package mat, which keeps all of
// LAPACK in the binary, 1.3 MB.
func newRounding(sum blas64.General) (*Rounding, error) {
	n, mean := sum.Rows, 0.0
	for i := range n {
		mean += sum.Data[i*n+i] / float64(n)
	}
	if !(mean > 0) || math.IsInf(mean, 0) {
		return nil, errors.New("want inputs that are finite and not all 0")
	}
	for i := range n {
		sum.Data[i*n+i] += damping * mean
	}
	var lapack gonum.Implementation
	if !lapack.Dpotrf(blas.Upper, n, sum.Data, sum.Stride) {
		return nil, errors.New("the inputs' moments have no Cholesky factor")
	}
	lapack.Dpotri(blas.Upper, n, sum.Data, sum.Stride) // cannot fail: the diagonal is positive
	if !lapack.Dpotrf(blas.Upper, n, sum.Data, sum.Stride) {
		return nil, errors.New("the inverse of the inputs' moments has no Cholesky factor")
	}
	return &Rounding{upper: sum}, nil
}

// Width is the length of a row.
func (r *Rounding) Width() int { return r.upper.Rows }

// row rounds one row in place. round returns the rounded weight i, given its value after compensation. before is called
// ahead of each weight, with all weights that are left.
func (r *Rounding) row(w []float64, before func(i int, rest []float64), round func(i int, v float64) float64) {
	for i := range w {
		before(i, w[i:])
		u := r.upper.Data[i*r.upper.Stride+i : i*r.upper.Stride+len(w)]
		e := (w[i] - round(i, w[i])) / u[0]
		rest := w[i+1:]
		for j, factor := range u[1:] {
			rest[j] -= e * factor
		}
	}
}

// EncodeChannel computes int8 codes of a row for a scale, as [quant.EncodeChannel] does without inputs.
func (r *Rounding) EncodeChannel(codes []byte, w []float32, scale float32) {
	var one [1]float32
	r.row(widen(w), func(int, []float64) {}, func(i int, v float64) float64 {
		one[0] = float32(v)
		quant.EncodeChannel(codes[i:i+1], one[:], scale)
		quant.DecodeChannel(one[:], codes[i:i+1], scale)
		return float64(one[0])
	})
}

// Encode quantises one row w to q, as [quant.Quantized.Encode] does without inputs. Scale and bias of a group are chosen
// when its turn comes; stored rounds them to the type that they are stored in.
func (r *Rounding) Encode(q quant.Quantized, w []float32, stored func([]float32)) {
	var (
		size  = q.GroupSize
		words = q.Words(size)
		codes = make([]uint8, size)
		group = make([]float32, size)
		top   = float64(q.Levels())
	)
	begin := func(i int, rest []float64) {
		if i%size != 0 {
			return
		}
		for j := range group {
			group[j] = float32(rest[j])
		}
		g := i / size
		q.Scales[g], q.Biases[g] = q.Fit(group)
		stored(q.Scales[g : g+1])
		stored(q.Biases[g : g+1])
	}
	r.row(widen(w), begin, func(i int, v float64) float64 {
		g := i / size
		scale, bias := float64(q.Scales[g]), float64(q.Biases[g])
		code := 0.0
		if scale != 0 { // 0: too small for the type that it is stored in
			code = min(max(math.RoundToEven((v-bias)/scale), 0), top)
		}
		codes[i%size] = uint8(code)
		if i%size == size-1 {
			q.Pack(q.Codes[g*words:(g+1)*words], codes)
		}
		return code*scale + bias
	})
}

func widen(w []float32) []float64 {
	wide := make([]float64, len(w))
	for i, v := range w {
		wide[i] = float64(v)
	}
	return wide
}
