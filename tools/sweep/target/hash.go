package target

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/weights"
)

// hashWeights hashes names, types and bytes of all tensors, in the order of their names. The hash identifies the
// checkpoint, in whichever files it is.
func hashWeights(c *weights.Checkpoint) (string, error) {
	tensors := c.Tensors()
	slices.SortFunc(tensors, func(a, b weights.Tensor) int { return strings.Compare(a.Name, b.Name) })
	hash := sha256.New()
	for _, t := range tensors {
		hash.Write([]byte(t.Name + " " + t.StoredAs() + "\n"))
		for piece, err := range c.Pieces(t, 1<<20) {
			if err != nil {
				return "", err
			}
			hash.Write(piece.Bytes())
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
