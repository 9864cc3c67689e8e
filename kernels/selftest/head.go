package selftest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
)

// Head is the classifier over [CLS] rows.
type Head struct {
	DType      kernels.DType
	B, H, C    int
	Activation kernels.Activation
	Gather     bool
}

// Case makes operands and answer. Allowed: the dense layer as Gemm.Case has it, then H + 1 additions in f32 of products
// with the classifier; nothing is rounded in between.
func (h Head) Case() Case {
	seed := uint64(h.B*331 + h.H + h.C)
	rows := h.B
	if h.Gather {
		rows = 3*h.B + 1
	}
	index := make([]int, h.B)
	random := rand.New(rand.NewPCG(seed, 3))
	for i := range index {
		index[i] = i
		if h.Gather {
			index[i] = random.IntN(rows)
		}
	}
	width := 1 / math.Sqrt(float64(h.H))
	c := Case{File: "head.metal", DType: h.DType, LeastBytes: h.leastBytes(distinct(index)), Problem: problem.Problem{
		Name: fmt.Sprintf("head %s %dx%d to %d act%d gather %v", h.DType, h.B, h.H, h.C, h.Activation, h.Gather), Result: 5,
		FLOPs: 2 * float64(h.B) * float64(h.H) * float64(h.H+h.C),
		Operands: []problem.Operand{
			input("x", h.DType, rows*h.H, 1, seed), input("w", h.DType, h.H*h.H, width, seed+1),
			vectors("bias", h.H, 0.1, seed+2), vectors("v", h.C*h.H, width, seed+3), vectors("d", h.C, 1, seed+4),
			output("z", kernels.F32, h.B*h.C), {Name: "index", Raw: wordsOf(index)},
		},
	}}
	c.record = func(l *kernels.Library, r *kernels.Recorder, b []metal.Binding) error {
		op, err := l.NewHead(kernels.Classifier{
			Dense: kernels.Matrix{N: h.H, K: h.H, Data: b[1]}, Bias: b[2], Activation: h.Activation,
			Labels: h.C, Out: b[3], OutBias: b[4], Gather: h.Gather,
		})
		if err != nil {
			return err
		}
		return op.Record(r, h.B, b[0], b[5], b[6])
	}
	x, w, bias := c.Operands[0].Values, c.Operands[1].Values, c.Operands[2].Values
	for b := range h.B {
		pooled, off := make([]float64, h.H), make([]float64, h.H)
		for n := range pooled {
			sum, magnitude := bias[n], math.Abs(bias[n])
			for k := range h.H {
				product := x[index[b]*h.H+k] * w[n*h.H+k]
				sum, magnitude = sum+product, magnitude+math.Abs(product)
			}
			pooled[n] = activate(h.Activation, sum)
			off[n] = activated(kernels.F32, h.Activation, sum, float64(h.H+2)*problem.FloatRoundoff*magnitude)
		}
		for label := range h.C {
			sum := c.Operands[4].Values[label]
			allowed := math.Abs(sum) * problem.FloatRoundoff
			for n, p := range pooled {
				v := c.Operands[3].Values[label*h.H+n]
				sum += p * v
				allowed += math.Abs(v) * (off[n] + math.Abs(p)*float64(h.H+1)*problem.FloatRoundoff)
			}
			c.Want, c.Allowed = append(c.Want, sum), append(c.Allowed, allowed+stored(kernels.F32, sum))
		}
	}
	return c
}

func (h Head) leastBytes(rows int) int {
	least := (h.H*h.H+rows*h.H)*h.DType.Size() + 4*(h.H+h.C*(h.H+1)+h.B*h.C)
	if h.Gather {
		least += 4 * h.B
	}
	return least
}
