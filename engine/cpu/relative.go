package cpu

/*
#include "forward.h"
*/
import "C"

import (
	"unsafe"

	"github.com/metalrank/metalrank/weights"
)

// relative makes the tables of disentangled attention, as struct relative has them: by float products of the weights as they
// are stored, at any precision. For each term they take 4 H (2 Span + pad) bytes a layer.
func (l *loader) relative(to *C.struct_relative, a *weights.Attention) {
	r := a.Relative
	to.span, to.stride = C.int(r.Span), C.ptrdiff_t(strideOf(roundUp(2*r.Span, 16), 4))
	farthest := l.plan.Positions - 1
	if l.relativeRows == nil { // all layers have the same
		l.relativeRows = takeSlice[int32](l.arena, 2*farthest+1)
		for i := range l.relativeRows {
			l.relativeRows[i] = int32(r.Row(i - farthest))
		}
	}
	to.rows, to.farthest = (*C.int32_t)(unsafe.SliceData(l.relativeRows)), C.int(farthest)
	for n := 1; n <= farthest && r.Row(-n) == r.Span-n && r.Row(n) == r.Span+n; n++ {
		to.whole = C.int(n)
	}
	to.keys = l.positionTable(a, r.Key, true)
	to.queries = l.positionTable(a, r.Query, false)
	for _, table := range []*C.float{to.keys, to.queries} {
		if table != nil {
			to.terms++
		}
	}
}

// positionTable returns K or Q, transposed, [A, D, stride]; nil where no layer makes it. falling puts the last row first.
func (l *loader) positionTable(a *weights.Attention, linear *weights.Linear, falling bool) *C.float {
	r := a.Relative
	if linear == nil {
		return nil
	}
	h, rows, stride := l.plan.Hidden, 2*r.Span, strideOf(roundUp(2*r.Span, 16), 4)
	made := takeSlice[float32](l.arena, h*stride+C.SLACK_COLUMNS)
	// The weights that make the table have an arena of their own: they are freed once it is made.
	scratch := *l
	scratch.arena = &arena{}
	defer scratch.arena.free()
	w, norm := scratch.linear(&l.kernels.f32, *linear), scratch.norm(r.Norm)
	width := strideOf(int(w.k), 4)
	x, y := takeSlice[float32](scratch.arena, rows*width), takeSlice[float32](scratch.arena, rows*width)
	table, ok := scratch.read(r.Table)
	if l.arena.err == nil {
		l.arena.err = scratch.arena.err
	}
	if !ok || l.arena.err != nil {
		return nil
	}
	for i := range rows {
		table.Float32s(x[i*width:i*width+h], i*h)
	}
	C.position_rows(l.kernels, &norm, &w, (*C.float)(unsafe.SliceData(x)), C.ptrdiff_t(width), C.int(rows), C.int(h),
		(*C.float)(unsafe.SliceData(y)), C.ptrdiff_t(width))
	for i := range rows {
		column := i
		if falling {
			column = rows - 1 - i
		}
		for d, v := range y[i*width : i*width+h] {
			made[d*stride+column] = v
		}
	}
	return (*C.float)(unsafe.SliceData(made))
}
