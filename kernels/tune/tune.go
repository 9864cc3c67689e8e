// Package tune finds the fastest variant of each matrix product of a model on the device that it was opened on, by timing
// them, and keeps the outcome in a file.
//
// It knows nothing of models: a product is an operation of package kernels, over weights that are on the device already.
package tune

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

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
	mostFew    = 64   // of products of few rows
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

// order is the outcome for variants with the same split, which are all that may be chosen together.
type order struct {
	found []Found
	times int     // numbers of rows for which there was a variant
	cost  float64 // sum over them of the time beside that of the usual variant
}

// product times the variants of one product with each number of rows.
func (s *Search) product(ctx context.Context, p *kernels.Product) ([]Found, error) {
	most := s.MaxRows
	if p.Shape().FewRows {
		most = min(most, mostFew)
	}
	all := rows(most)
	o, err := newOperands(s.Device, p.Shape(), all[len(all)-1])
	if err != nil {
		return nil, err
	}
	orders := map[int]*order{}
	usual := 0 // split of the usual variants
	for i, m := range all {
		var fastest map[int]Found
		if fastest, usual, err = s.fastest(ctx, p, o, m); err != nil {
			return nil, errors.Join(err, o.close())
		}
		for split, f := range fastest {
			if i == len(all)-1 {
				f.Rows = math.MaxInt
			}
			if orders[split] == nil {
				orders[split] = &order{}
			}
			orders[split].add(f)
		}
	}
	best := orders[usual]
	for _, split := range slices.Sorted(maps.Keys(orders)) {
		if o := orders[split]; o.times == len(all) && o.cost < best.cost && o.cost <= (1-least)*orders[usual].cost {
			best = o
		}
	}
	return best.found, o.close()
}

// add adds the outcome for more rows.
func (o *order) add(f Found) {
	o.times++
	o.cost += f.Time / f.Before
	if n := len(o.found); n > 0 && o.found[n-1].Variant == f.Variant && o.found[n-1].Default == f.Default {
		o.found = o.found[:n-1] // one Choice for both
	}
	o.found = append(o.found, f)
}

// timed is a variant and its times.
type timed struct {
	kernels.Variant
	name    string
	product *kernels.Product
	repeats int
	times   []float64 // of one run each
}

func (t *timed) median() float64 {
	sorted := slices.Sorted(slices.Values(t.times))
	return sorted[len(sorted)/2]
}

// fastest returns the fastest variant of each split for m rows, and the split of the usual one. It times them in turns, so that a
// change of the device's clock meets all of them.
func (s *Search) fastest(ctx context.Context, p *kernels.Product, o *operands, m int) (found map[int]Found, usualSplit int, err error) {
	usual := p.Variant(m)
	all, usualSplit, err := s.right(ctx, p, o, m, usual)
	if err != nil {
		return nil, 0, err
	}
	for round := range rounds {
		for _, t := range all {
			if err := s.time(ctx, t, o, m); err != nil {
				return nil, 0, err
			}
		}
		if round == rounds/2 {
			best := bests(all)
			all = slices.DeleteFunc(all, func(t *timed) bool {
				return t.name != usual && slices.Min(t.times) > hopeless*best[t.Split].median()
			})
		}
	}
	found = map[int]Found{}
	i := slices.IndexFunc(all, func(t *timed) bool { return t.name == usual })
	for split, best := range bests(all) {
		f := Found{Choice: kernels.Choice{Shape: p.Shape(), Rows: m, Variant: best.name}, Time: best.median(), Default: usual}
		f.Before = f.Time
		if i >= 0 {
			f.Before = all[i].median()
			if split == usualSplit && f.Time > (1-least)*f.Before {
				f.Variant, f.Time = usual, f.Before
			}
		}
		found[split] = f
	}
	return found, usualSplit, nil
}

// bests returns the fastest variant of each split.
func bests(all []*timed) map[int]*timed {
	best := map[int]*timed{}
	for _, t := range all {
		if b := best[t.Split]; b == nil || t.median() < b.median() {
			best[t.Split] = t
		}
	}
	return best
}

// group is variants that give the same bits.
type group struct {
	result []byte
	of     []*timed
}

// right returns the variants with right results, and the split of the usual one: however fast a variant is, with a wrong result it
// is no candidate. Among variants with the same split, those are right that give the bits which most give; without a majority, those
// that agree with the first, which is the usual one where it is among them. Another split's must be near to the usual split's, too.
// One that the device's compiler refuses is left out: the usual one is compiled already. The first run of each is its warm-up.
func (s *Search) right(ctx context.Context, p *kernels.Product, o *operands, m int, usual string) (all []*timed, split int, err error) {
	groups := map[int][]*group{} // by split
	variants := kernels.Candidates(p.Shape(), s.Device.Info())
	if i := slices.IndexFunc(variants, func(v kernels.Variant) bool { return v.String() == usual }); i > 0 {
		variants[0], variants[i] = variants[i], variants[0]
	}
	for _, v := range variants {
		t, result, err := s.first(ctx, p, o, m, v)
		_, tooLarge := errors.AsType[*metal.LimitError](err)
		if _, refused := errors.AsType[*metal.CompileError](err); tooLarge || refused {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		i := slices.IndexFunc(groups[v.Split], func(g *group) bool { return bytes.Equal(g.result, result) })
		if i < 0 {
			i = len(groups[v.Split])
			groups[v.Split] = append(groups[v.Split], &group{result: result})
		}
		groups[v.Split][i].of = append(groups[v.Split][i].of, t)
	}
	if len(groups) == 0 {
		return nil, 0, errors.New("no variant fits the device")
	}
	split = variants[0].Split
	reference := largest(groups[split])
	for _, other := range slices.Sorted(maps.Keys(groups)) {
		g := largest(groups[other])
		if other == split || o.near(p, m, g.result, reference.result) {
			all = append(all, g.of...)
		}
	}
	return all, split, nil
}

// largest returns the first of the groups with the most variants.
func largest(groups []*group) *group {
	return slices.MaxFunc(groups, func(a, b *group) int { return cmp.Compare(len(a.of), len(b.of)) })
}

// first runs a variant for the first time, and returns what it computed.
func (s *Search) first(ctx context.Context, p *kernels.Product, o *operands, m int, v kernels.Variant) (*timed, []byte, error) {
	by, err := p.By(v.String())
	if err != nil {
		return nil, nil, err
	}
	t := &timed{Variant: v, name: v.String(), product: by, repeats: 1}
	o.spoil(m)
	if err := s.time(ctx, t, o, m); err != nil {
		return nil, nil, err
	}
	if once := t.times[0]; once < shortList {
		t.repeats = int(min(math.Ceil(shortList/max(once, shortList/maxRepeats)), maxRepeats))
	}
	t.times = t.times[:0]
	return t, bytes.Clone(o.result(m)), nil
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
