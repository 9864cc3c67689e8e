package cpu

/*
#include "forward.h"
*/
import "C"

import "github.com/metalrank/metalrank/weights"

// partTerms is how many inputs of a down-projection behind SwiGLU share a scale at int8 (RATIONALE.md).
const partTerms = 512

// output packs the down-projection: at int8 behind SwiGLU, where a few inputs may be many times as large as all others, in parts.
func (l *loader) output(to *C.struct_layer, from *weights.Layer) {
	width := from.Outer.Weight.Shape[1]
	parts := 1
	if l.precision == Int8 && from.Gate != nil && from.Activation == weights.SiLU {
		parts = min((width+partTerms-1)/partTerms, C.MOST_PARTS)
	}
	terms := roundUp((width+parts-1)/parts, pad)
	outer := from.Outer
	outer.Weight, _ = l.read(outer.Weight) // once for all parts
	for begin := 0; begin < width; begin += terms {
		to.output[to.parts] = l.columns(l.matmul(), begin, min(terms, width-begin), outer)
		to.parts++
	}
}
