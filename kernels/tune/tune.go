// Package tune finds the fastest variant of each matrix product of a model on the device that it was opened on, by timing
// them, and keeps the outcome in a file.
//
// It knows nothing of models: a product is an operation of package kernels, over weights that are on the device already.
package tune

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/x448/float16"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
)

// Clock returns the time, in any unit, of a list that has ended. timing is the device's, and elapsed the time from
// submitting to waiting.
type Clock func(pending metal.Pending, timing metal.Timing, elapsed time.Duration) float64

// DeviceClock is the device's own time, or where the driver can't tell, the caller's; in seconds.
func DeviceClock(_ metal.Pending, timing metal.Timing, elapsed time.Duration) float64 {
	if timing.Elapsed() > 0 {
		return timing.Elapsed().Seconds()
	}
	return elapsed.Seconds()
}

// Search is a search for the fastest variants.
type Search struct {
	Device  metal.Device
	Budget  time.Duration // after it, products that were not timed yet keep their variants, all but the first
	Clock   Clock
	MaxRows int // of a run
}

// Found is the outcome for a product's runs of more rows than the Found before it has, up to Choice.Rows.
type Found struct {
	kernels.Choice
	Time    float64 // of a run of Rows rows, or of the most rows that were timed; see Clock
	Default string  // the variant that is taken without a Choice
	Before  float64 // its time
}

// Bounds of a search. A variant takes the place of the default only if it is faster by least, which is more than the noise of a
// median of rounds.
const (
	rounds     = 7
	least      = 0.03
	hopeless   = 1.5 // times the best: such a variant is not timed any further
	leastRows  = 8
	mostRows   = 1024 // more rows only make more threadgroups, which are enough for any GPU by then
	rowsFactor = 4
	shortList  = 100e-6 // seconds: a shorter run is repeated within its list until it takes as long
	maxRepeats = 64
)

// rows returns the numbers of rows that are timed: 8, 32, 128, 512 and 1,024, as far as a run can have so many.
func rows(most int) []int {
	most = min(max(most, leastRows), mostRows)
	var all []int
	for m := leastRows; m < most; m *= rowsFactor {
		all = append(all, m)
	}
	return append(all, most)
}

// Products times the variants of products, which must be of different shapes, and returns the outcomes in the order of the
// products and of their rows. A product is in the result as a whole or not at all; the first is always in it, so that searches
// come to an end, however long the device's compiler takes. Errors: the driver's; ctx's.
func (s *Search) Products(ctx context.Context, products []*kernels.Product) ([]Found, error) {
	within, cancel := context.WithTimeout(ctx, s.Budget)
	defer cancel()
	var all []Found
	for i, p := range products {
		limit := within
		if i == 0 {
			limit = ctx
		}
		found, err := s.product(limit, p)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return all, nil // the budget is spent
		}
		if err != nil {
			return all, fmt.Errorf("tune: N %d, K %d: %w", p.Shape().N, p.Shape().K, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// product times the variants of one product with each number of rows.
func (s *Search) product(ctx context.Context, p *kernels.Product) ([]Found, error) {
	all := rows(s.MaxRows)
	o, err := newOperands(s.Device, p.Shape(), all[len(all)-1])
	if err != nil {
		return nil, err
	}
	var found []Found
	for i, m := range all {
		f, err := s.best(ctx, p, o, m)
		if err != nil {
			return nil, errors.Join(err, o.close())
		}
		if i == len(all)-1 {
			f.Rows = math.MaxInt
		}
		if n := len(found); n > 0 && found[n-1].Variant == f.Variant && found[n-1].Default == f.Default {
			found = found[:n-1] // one Choice for both
		}
		found = append(found, f)
	}
	return found, o.close()
}

// timed is a variant and its times.
type timed struct {
	name    string
	product *kernels.Product
	repeats int
	times   []float64 // of one run each
}

func (t *timed) median() float64 {
	sorted := slices.Sorted(slices.Values(t.times))
	return sorted[len(sorted)/2]
}

// best times the variants with m rows, in turns, so that a change of the device's clock meets all of them.
func (s *Search) best(ctx context.Context, p *kernels.Product, o *operands, m int) (Found, error) {
	usual := p.Variant(m)
	all, err := s.agreeing(ctx, p, o, m, usual)
	if err != nil {
		return Found{}, err
	}
	for round := range rounds {
		for _, t := range all {
			if err := s.time(ctx, t, o, m); err != nil {
				return Found{}, err
			}
		}
		if round == rounds/2 {
			fastest := slices.MinFunc(all, byMedian).median()
			all = slices.DeleteFunc(all, func(t *timed) bool { return t.name != usual && slices.Min(t.times) > hopeless*fastest })
		}
	}
	best := slices.MinFunc(all, byMedian)
	f := Found{Choice: kernels.Choice{Shape: p.Shape(), Rows: m, Variant: best.name}, Time: best.median(), Default: usual}
	f.Before = f.Time
	if i := slices.IndexFunc(all, func(t *timed) bool { return t.name == usual }); i >= 0 {
		f.Before = all[i].median()
		if f.Time > (1-least)*f.Before {
			f.Variant, f.Time = usual, f.Before
		}
	}
	return f, nil
}

func byMedian(a, b *timed) int { return cmp.Compare(a.median(), b.median()) }

// agreeing returns the variants that give the same bits as most do; without a majority, those that agree with the usual one.
// All variants should: one that differs computes wrongly, and however fast it is, it is not a candidate. Nor is one that the
// device's compiler refuses: the usual one is compiled already. The first run of each is its warm-up.
func (s *Search) agreeing(ctx context.Context, p *kernels.Product, o *operands, m int, usual string) ([]*timed, error) {
	type group struct {
		result []byte
		of     []*timed
	}
	var groups []*group
	variants := kernels.Candidates(p.Shape(), s.Device.Info())
	if i := slices.IndexFunc(variants, func(v kernels.Variant) bool { return v.String() == usual }); i > 0 {
		variants[0], variants[i] = variants[i], variants[0] // the usual one's group is the first
	}
	for _, v := range variants {
		by, err := p.By(v.String())
		_, tooLarge := errors.AsType[*metal.LimitError](err)
		if _, refused := errors.AsType[*metal.CompileError](err); tooLarge || refused {
			continue
		}
		if err != nil {
			return nil, err
		}
		t := &timed{name: v.String(), product: by, repeats: 1}
		o.spoil(m)
		if err := s.time(ctx, t, o, m); err != nil {
			return nil, err
		}
		if once := t.times[0]; once < shortList {
			t.repeats = int(min(math.Ceil(shortList/max(once, shortList/maxRepeats)), maxRepeats))
		}
		t.times = t.times[:0]
		result := o.result(m)
		i := slices.IndexFunc(groups, func(g *group) bool { return bytes.Equal(g.result, result) })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &group{result: bytes.Clone(result)})
		}
		groups[i].of = append(groups[i].of, t)
	}
	if len(groups) == 0 {
		return nil, errors.New("no variant fits the device")
	}
	most := slices.MaxFunc(groups, func(a, b *group) int { return cmp.Compare(len(a.of), len(b.of)) }) // the first of equals
	return most.of, nil
}

// time runs a variant, and adds the time of one run to its times.
func (s *Search) time(ctx context.Context, t *timed, o *operands, m int) error {
	recorder := kernels.NewRecorder(s.Device)
	for range t.repeats {
		recorder.Barrier()
		if err := t.product.Record(recorder, o.rows(m)); err != nil {
			return err
		}
	}
	begin := time.Now()
	pending, err := recorder.Commit()
	if err != nil {
		return err
	}
	timing, err := pending.Wait(ctx)
	if err != nil && ctx.Err() != nil {
		_, _ = pending.Wait(context.WithoutCancel(ctx)) // the device still uses the operands
	}
	if err != nil {
		return err
	}
	t.times = append(t.times, s.Clock(pending, timing, time.Since(begin))/float64(t.repeats))
	return nil
}

// operands are made-up activations for a product.
type operands struct {
	shape  kernels.Shape
	buffer metal.Buffer
	a, y   metal.Binding // [M, K]; [M, N]
	extra  metal.Binding // residual [M, N], in f32 if it must
	index  metal.Binding // [M] u32: 0, 1, 2 …
	// Of layers that have them: positions [M] u32, 0 each; statistics [M, ..] of one mean and deviation; and the sum [M, N] f32.
	positions, statistics, sum metal.Binding
}

const (
	operandAlignment = 128
	// made is how many numbers are made up; they are repeated, since millions would take much of a search's time. It is a prime, so
	// that no two rows are alike.
	made = 65521
)

func newOperands(device metal.Device, shape kernels.Shape, m int) (*operands, error) {
	element, size := shape.Type.Size(), 0
	place := func(bytes int) int {
		at := size
		size += (bytes + operandAlignment - 1) / operandAlignment * operandAlignment
		return at
	}
	a, y, extra, index := place(m*shape.K*element), place(m*shape.N*element), place(4*m*shape.N), place(4*m)
	positions, statistics, sum := place(4*m), place(m*kernels.StatisticsSize(max(shape.N, shape.K))), place(4*m*shape.N)
	buffer, err := device.NewBuffer(size)
	if err != nil {
		return nil, err
	}
	o := &operands{
		shape: shape, buffer: buffer, a: metal.At(buffer, a), y: metal.At(buffer, y), extra: metal.At(buffer, extra),
		index: metal.At(buffer, index), positions: metal.At(buffer, positions), statistics: metal.At(buffer, statistics),
		sum: metal.At(buffer, sum),
	}
	random, data := rand.New(rand.NewPCG(1, 2)), buffer.Bytes()[:index]
	filled := min(len(data), made*element)
	for at := 0; at < filled; at += element {
		put(data[at:], shape.Type, float32(random.NormFloat64()))
	}
	for filled < len(data) {
		filled += copy(data[filled:], data[:filled])
	}
	for i := range m {
		binary.LittleEndian.PutUint32(buffer.Bytes()[index+4*i:], uint32(i))
	}
	for at := statistics; at < sum; at += 8 {
		put(buffer.Bytes()[at+4:], kernels.F32, 1) // squares; the mean is 0
	}
	return o, nil
}

func put(at []byte, d kernels.DType, value float32) {
	if d == kernels.F16 {
		binary.LittleEndian.PutUint16(at, float16.Fromfloat32(value).Bits())
		return
	}
	binary.LittleEndian.PutUint32(at, math.Float32bits(value))
}

func (o *operands) rows(m int) kernels.Rows {
	return kernels.Rows{
		M: m, A: o.a, Y: o.y, Residual: o.extra, Index: o.index, Positions: o.positions, Statistics: o.statistics, Sum: o.sum,
	}
}

// result returns the rows that the last run made.
func (o *operands) result(m int) []byte {
	return o.buffer.Bytes()[o.y.OffsetBytes:][:m*o.shape.N*o.shape.Type.Size()]
}

// spoil makes the result not a number, so that a run that leaves some of it out shows.
func (o *operands) spoil(m int) {
	result := o.result(m)
	for i := range result {
		result[i] = 0xFF
	}
}

func (o *operands) close() error { return o.buffer.Close() }
