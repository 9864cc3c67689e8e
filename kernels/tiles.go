package kernels

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/metal"
)

// Choice is a decision for a shape: runs of up to Rows rows take the variant of that name.
type Choice struct {
	Shape
	Rows    int    // math.MaxInt: any number
	Variant string // Variant.String
}

// tunings are the choices that were measured to be the fastest on a device, by metal.Info.Name. `kprof --sweep-tiles` prints
// them. Where a device or a shape has none, the rule of fitting decides. No Mac has run this yet, so that there are none.
var tunings = map[string][]Choice{}

// Pin makes the products that are prepared from now on follow choices: before the tables of this package, and before
// earlier choices for the same shape. Errors: a variant that is none of the shape's Candidates on this device; choices by which
// the sums of a shape would have another order in longer runs.
func (l *Library) Pin(choices ...Choice) error {
	device := l.device.Info()
	for _, c := range choices {
		same := slices.DeleteFunc(slices.Clone(choices), func(other Choice) bool { return other.Shape != c.Shape })
		if _, err := variants(same, Candidates(c.Shape, device)); err != nil {
			return fmt.Errorf("%w, on %s", err, device.Name)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pinned = slices.Concat(choices, slices.DeleteFunc(l.pinned, func(old Choice) bool {
		return slices.ContainsFunc(choices, func(c Choice) bool { return c.Shape == old.Shape })
	}))
	return nil
}

// choices returns those for a shape, in the order of rows: pinned ones, else those of tunings.
func (l *Library) choices(s Shape) []Choice {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, from := range [][]Choice{l.pinned, tunings[l.device.Info().Name]} {
		found := slices.DeleteFunc(slices.Clone(from), func(c Choice) bool { return c.Shape != s })
		if len(found) > 0 {
			slices.SortStableFunc(found, func(a, b Choice) int { return cmp.Compare(a.Rows, b.Rows) })
			return found
		}
	}
	return nil
}

// variants returns the variants of a shape's choices. Errors: one that is not among the candidates; choices with a Split and others
// for the same shape, whose bits differ. Runs of more rows than a shape has choices for add up without a Split.
func variants(choices []Choice, candidates []Variant) ([]Variant, error) {
	var found []Variant
	for _, c := range choices {
		i := slices.IndexFunc(candidates, func(v Variant) bool { return v.String() == c.Variant })
		if i < 0 {
			return nil, fmt.Errorf("kernels: %s: no variant %q for N %d, K %d, want one of %s", c.kernel(), c.Variant, c.N, c.K, names(candidates))
		}
		found = append(found, candidates[i])
	}
	split := slices.ContainsFunc(found, func(v Variant) bool { return v.Split != 0 })
	all := slices.ContainsFunc(choices, func(c Choice) bool { return c.Rows == math.MaxInt })
	other := func(v Variant) bool { return v.Split != found[0].Split }
	if split && (!all || slices.ContainsFunc(found, other)) {
		return nil, fmt.Errorf("kernels: %s: choices for N %d, K %d add up in several orders: %s; want the same split for any number of rows",
			choices[0].kernel(), choices[0].N, choices[0].K, names(found))
	}
	return found, nil
}

// Product is the common part of Gemm and GemmNorm: a layer, and the kernels that its runs choose from.
type Product struct {
	library *Library
	linear  Linear
	norm    bool
	vectors metal.Binding // [N] f32: bias; for a norm [3, N]: bias, gamma and beta
	epsilon float32       // of the norm
	cores   int
	chosen  []chosen   // in the order of rows
	fitting []compiled // for more rows than chosen has; greatest first
}

// compiled is a variant's kernel.
type compiled struct {
	Variant
	pipeline metal.Pipeline
}

// chosen is a Choice, compiled.
type chosen struct {
	rows int
	compiled
}

// newProduct compiles the variants that runs of a layer can choose. Errors: those of Choose.
func (l *Library) newProduct(p Product) (*Product, error) {
	device := l.device.Info()
	p.library, p.cores = l, cmp.Or(device.Cores, gpuCores(device.Name))
	return &p, p.Choose(l.choices(p.Shape()))
}

// Shape returns the product as far as the choice of a variant depends on it.
func (p *Product) Shape() Shape { return p.linear.Shape(p.library.dtype, p.norm) }

// By returns the same product with all runs by the variant of that name. Errors: *metal.CompileError; *metal.LimitError,
// where it does not fit the device.
func (p *Product) By(variant string) (*Product, error) {
	by := *p
	by.linear.Variant = variant
	return &by, by.Choose(nil)
}

// Choose makes runs follow choices, as far as they are of the product's shape; runs of more rows take the greatest variant
// that fits them. A variant that does not fit the device is left out. It must not be called while a run is recorded. Errors:
// those of Pin, *metal.CompileError; *metal.LimitError, where no variant fits the device.
func (p *Product) Choose(choices []Choice) error {
	l, shape := p.library, p.Shape()
	if p.linear.Variant != "" {
		choices = []Choice{{Shape: shape, Rows: math.MaxInt, Variant: p.linear.Variant}}
	}
	p.chosen, p.fitting = nil, nil
	choices = slices.DeleteFunc(slices.Clone(choices), func(c Choice) bool { return c.Shape != shape })
	of, err := variants(choices, Candidates(shape, l.device.Info()))
	if err != nil {
		return err
	}
	for i, v := range of {
		kernel, err := l.compile(shape, &p.linear, v)
		if _, tooLarge := errors.AsType[*metal.LimitError](err); tooLarge && p.linear.Variant == "" {
			continue
		}
		if err != nil {
			return err
		}
		p.chosen = append(p.chosen, chosen{choices[i].Rows, kernel})
	}
	if n := len(p.chosen); n > 0 && p.chosen[n-1].rows == math.MaxInt {
		return nil
	}
	if len(p.chosen) > 0 && p.chosen[0].Split != 0 {
		p.chosen = nil // longer runs, for which it does not fit, would have other bits
	}
	var limit error
	for _, v := range shape.listed() {
		if !v.fits(shape) {
			continue
		}
		kernel, err := l.compile(shape, &p.linear, v.Variant)
		if _, tooLarge := errors.AsType[*metal.LimitError](err); tooLarge {
			limit = err
			continue
		}
		if err != nil {
			return err
		}
		p.fitting = append(p.fitting, kernel)
	}
	if len(p.fitting) == 0 {
		return limit
	}
	return nil
}

// compile specialises the kernel of a variant. Errors: *metal.CompileError; *metal.LimitError, where the device lets the
// kernel have fewer threads than the variant needs.
func (l *Library) compile(s Shape, linear *Linear, v Variant) (compiled, error) {
	if err := v.exceeds(s, l.device.Info()); err != nil {
		return compiled{}, err
	}
	name := s.kernel() + "_" + linear.Weights.prefix() + s.Type.String() + "_nt_" + v.String()
	pipeline, err := l.pipeline(v.File(s), name, constants{
		activation: linear.Activation, residual: linear.Residual, gatherA: linear.GatherA, gatherResidual: linear.GatherResidual,
		simdgroups: v.simdgroups(s.N), groupSize: linear.Weights.GroupSize, gated: linear.Gated, turned: linear.Turned,
		headSize: linear.HeadSize, normed: linear.Normed, rms: linear.RMS, kept: linear.Kept,
	})
	return compiled{v, pipeline}, err
}

// kernel returns the kernel for a run of M rows.
func (p *Product) kernel(m int) *compiled {
	for i := range p.chosen {
		if m <= p.chosen[i].rows {
			return &p.chosen[i].compiled
		}
	}
	return &p.fitting[fitting(p.fitting, m, p.linear.Weights.N, p.cores)]
}

// Variant returns the name of the variant that a run of M rows takes.
func (p *Product) Variant(m int) string { return p.kernel(m).String() }

// Record records one run.
func (p *Product) Record(r *Recorder, rows Rows) error {
	if err := p.linear.bind(r, p.library.dtype, &rows, p.vectors, p.epsilon); err != nil {
		return err
	}
	n := p.linear.Weights.N
	kernel := p.kernel(rows.M)
	columns, groups := kernel.groups(rows.M, n)
	grid := metal.Size{X: uint32(columns), Y: uint32(groups)}
	if p.norm {
		grid = metal.Size{X: uint32(groups)}
	}
	return r.launch(kernel.pipeline, grid, kernel.simdgroups(n))
}

// groupsPerCore is how many threadgroups a core should get, so that one computes while another waits for memory. Not
// measured: no Mac has run this yet.
const groupsPerCore = 2

// fitting returns the index of the greatest variant that still gives every core of the GPU enough to do and wastes no more
// than 1/16 of its rows; where none does, the smallest.
func fitting(kernels []compiled, m, n, cores int) int {
	for i := range kernels {
		columns, rows := kernels[i].groups(m, n)
		if columns*rows >= groupsPerCore*cores && 16*(rows*kernels[i].Rows-m) <= m {
			return i
		}
	}
	return len(kernels) - 1
}

// gpuCores guesses the cores of a GPU by the name of its chip, for a driver that can't tell. Sizes are Apple's, of the
// larger variant of each chip: 10, 20, 40 and 80.
func gpuCores(device string) int {
	switch {
	case strings.HasSuffix(device, "Ultra"):
		return 80
	case strings.HasSuffix(device, "Max"):
		return 40
	case strings.HasSuffix(device, "Pro"):
		return 20
	}
	return 10
}
