// Package oracle computes the score that a simulated node must give: from the texts a client can tell whether an answer
// is right.
package oracle

import (
	"hash/fnv"
	"io"
)

// Score is between 0 and 1, and differs with every byte of the model's name, the query and the text. It has no more digits
// than a float64, so that it comes back from JSON as it was.
func Score(model, query, text string) float64 {
	h := fnv.New64a()
	for _, part := range []string{model, query, text} {
		_, _ = io.WriteString(h, part) // a hash takes all
		_, _ = h.Write([]byte{0})
	}
	return float64(h.Sum64()>>11) / (1 << 53)
}
