package doctor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/selftest"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/peaks"
)

// Times are measurements of a device by its own clock.
type Times struct {
	// Rates are the most that probes reached: FLOPs or bytes a second, by the probe's name.
	Rates map[string]float64 `json:"per_second"`
	// DispatchUS is the cost of one more kernel in a list; ListUS that of a list with an empty kernel, and EmptyUS that of an
	// empty list, each with the wait for it.
	DispatchUS float64 `json:"dispatch_us"`
	ListUS     float64 `json:"list_us"`
	EmptyUS    float64 `json:"empty_list_us"`
	Shapes     []Shape `json:"shapes"`
	LeftOut    int     `json:"left_out,omitempty"` // shapes, for lack of time
	Error      string  `json:"error,omitempty"`    // why the rest was not measured
}

// Shape holds the times of one operation. Products have rows, columns and a sum of K terms; attention has tokens, H, and the
// length of each sequence.
type Shape struct {
	Kernel        string    `json:"kernel"` // "gemm", "gemm_norm", "attention"
	Rows          int       `json:"rows"`
	N             int       `json:"n"`
	K             int       `json:"k"`
	Variants      []Variant `json:"variants"`
	PercentOfRoof float64   `json:"percent_of_roof"` // of the quickest variant
}

// Variant is the time of a Shape by one of its kernels.
type Variant struct {
	Name  string  `json:"variant,omitempty"` // "64x32"; "": the kernel has no variants
	US    float64 `json:"us,omitempty"`
	Error string  `json:"error,omitempty"`
}

// Best returns the quickest variant, or false if none has a time.
func (s *Shape) Best() (best Variant, ok bool) {
	for _, v := range s.Variants {
		if v.US > 0 && (!ok || v.US < best.US) {
			best, ok = v, true
		}
	}
	return best, ok
}

// Choices are the quickest variants of a driver's shapes, as the tables of package kernels have them: that of a shape's most
// rows holds for more rows, too.
func (d *Driver) Choices() []kernels.Choice {
	if d.Times == nil {
		return nil
	}
	var choices []kernels.Choice
	for i := range d.Times.Shapes {
		s := &d.Times.Shapes[i]
		if best, ok := s.Best(); ok && best.Name != "" {
			shape := kernels.Shape{Norm: s.Kernel == gemmNorm, N: s.N, K: s.K}
			choices = append(choices, kernels.Choice{Shape: shape, Rows: s.Rows, Variant: best.Name})
		}
	}
	for i := range choices {
		if i+1 == len(choices) || choices[i+1].Shape != choices[i].Shape {
			choices[i].Rows = math.MaxInt
		}
	}
	return choices
}

const gemmNorm = "gemm_norm"

// Shapes that are measured: hidden sizes of the models that people serve, and rows of a small request, of one document and
// up to a full batch.
var (
	timedHidden = []int{384, 768, 1024}
	timedRows   = []int{8, 32, 128, 512, 4096}
)

const (
	timedRounds = 5
	// mostTimes bounds the measurement of shapes on a slow device.
	mostTimes = time.Minute
	// probeThreads is how many threads peaks are measured with: enough for any GPU, and 64 MB for each buffer of a copy.
	probeThreads = 4 << 20
)

// measured is an operation that is to be measured, by each of its variants.
type measured struct {
	shape    Shape
	variants []kernels.Variant // none: the kernel has none
	make     func() []selftest.Case
}

// shapesOf returns the operations of layers with the hidden sizes on a device.
func shapesOf(device metal.Info, hidden, rows []int) []measured {
	var all []measured
	for _, h := range hidden {
		for _, p := range selftest.Products(kernels.F16, h) {
			kernel := "gemm"
			if p.Norm {
				kernel = gemmNorm
			}
			variants := kernels.Candidates(p, device)
			for _, m := range rows {
				all = append(all, measured{Shape{Kernel: kernel, Rows: m, N: p.N, K: p.K}, variants, func() []selftest.Case {
					g := selftest.ProductOf(p, m)
					g.Unanswered = true
					return g.Variants(variants)
				}})
			}
		}
		const length, sequences = 64, 8
		size := 64
		if h == 384 { // MiniLM's
			size = 32
		}
		attention := selftest.Attention{DType: kernels.F16, Heads: h / size, HeadSize: size, Lengths: slices.Repeat([]int{length}, sequences)}
		all = append(all, measured{
			Shape{Kernel: "attention", Rows: length * sequences, N: h, K: length}, nil,
			func() []selftest.Case { return []selftest.Case{attention.Case()} },
		})
	}
	return all
}

// measure measures shapes on a device.
func (c *Config) measure(ctx context.Context, device metal.Device, library *kernels.Library, threads int, shapes []measured) *Times {
	c.step("measuring peaks")
	t := &Times{}
	if err := t.measurePeaks(ctx, device, threads); err != nil {
		t.Error = err.Error()
		return t
	}
	c.logf("peaks: %+v", *t)
	end := time.Now().Add(mostTimes)
	for i, s := range shapes {
		if time.Now().After(end) {
			t.LeftOut = len(shapes) - i
			break
		}
		c.step("measuring %s %dx%dx%d: shape %d of %d", s.shape.Kernel, s.shape.Rows, s.shape.N, s.shape.K, i+1, len(shapes))
		cases := s.make()
		for i := range cases {
			timed := Variant{}
			if s.variants != nil {
				timed.Name = s.variants[i].String()
			}
			took, err := cases[i].Time(ctx, device, library, timedRounds)
			if ctx.Err() != nil {
				t.Error = ctx.Err().Error()
				return t
			}
			if timed.US = 1e6 * took.Seconds(); err != nil {
				timed.Error = err.Error()
			}
			c.logf("%+v", timed)
			s.shape.Variants = append(s.shape.Variants, timed)
		}
		if best, ok := s.shape.Best(); ok {
			flops, bytes := cases[0].FLOPs, float64(cases[0].LeastBytes)
			s.shape.PercentOfRoof = 100 * flops / (1e-6 * best.US) / t.roof(flops/bytes)
		}
		t.Shapes = append(t.Shapes, s.shape)
	}
	return t
}

// roof returns the most FLOPs a second at an intensity in FLOPs to the byte.
func (t *Times) roof(intensity float64) float64 {
	return min(t.Rates[peaks.Matrices], intensity*t.Rates[peaks.Copy])
}

func (t *Times) measurePeaks(ctx context.Context, device metal.Device, threads int) (err error) {
	bench, err := peaks.Open(device, threads)
	if err != nil {
		return fmt.Errorf("peaks: %w", err)
	}
	defer func() { err = errors.Join(err, bench.Close()) }()
	found, err := bench.Measure(ctx)
	if err != nil {
		return fmt.Errorf("peaks: %w", err)
	}
	t.Rates = found.Rates
	t.DispatchUS, t.ListUS, t.EmptyUS = 1e6*found.Dispatch.Seconds(), 1e6*found.Commit.Seconds(), 1e6*found.Empty.Seconds()
	return nil
}
