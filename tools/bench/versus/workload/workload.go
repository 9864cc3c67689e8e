// Package workload holds the lists of sequence lengths that comparisons run over, so that each side computes the same.
package workload

import "slices"

// mixed was drawn once: exp(N(4.38, 0.75)) rounded and clamped to 16…512, from PCG(195, 0), the first seed with a mean
// near 107 and a longest of 512. It is kept as numbers, so that no change of a generator changes a published table.
var mixed = []int{
	30, 229, 44, 68, 103, 69, 33, 65, 92, 19, 75, 130, 512, 114, 165, 43,
	142, 24, 284, 65, 135, 61, 134, 38, 44, 152, 151, 90, 98, 76, 60, 69,
}

// Mixed returns the lengths in tokens of 32 pairs of query and document with a heavy tail: 3,414 tokens, 107 a pair, the
// longest 512. A batch that is padded to its longest has 16,384.
func Mixed() []int { return slices.Clone(mixed) }
