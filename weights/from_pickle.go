package weights

import (
	"errors"

	"github.com/metalrank/metalrank/weights/pickle"
)

const (
	pickleSuffix    = ".bin"
	pickleFile      = "pytorch_model.bin"
	pickleIndexFile = "pytorch_model.bin.index.json"
)

// parsePickle returns the tensors of a file that torch.save wrote.
func parsePickle(b *blob) ([]Tensor, error) {
	file := b.name
	stored, err := pickle.Parse(b, b.size)
	switch {
	case errors.Is(err, pickle.ErrUnsafe):
		return nil, unsupportedf("%s: %v", file, err)
	case errors.Is(err, pickle.ErrInvalid):
		return nil, invalidf("%s: %v", file, err)
	case err != nil:
		return nil, causef(err, "%s", file)
	}
	tensors := make([]Tensor, len(stored))
	for i, t := range stored {
		dtype, ok := parseDType(t.DType)
		if !ok {
			panic("BUG: weights: dtype " + t.DType)
		}
		tensors[i] = b.tensor(t.Name, dtype, t.Shape, t.Offset, t.Size)
	}
	return tensors, nil
}
