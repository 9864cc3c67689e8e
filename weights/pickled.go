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

// parsePickle returns the tensors of a file that torch.save wrote. They borrow data.
func parsePickle(file string, data []byte) ([]Tensor, error) {
	stored, err := pickle.Parse(data)
	switch {
	case errors.Is(err, pickle.ErrUnsafe):
		return nil, unsupportedf("%s: %v", file, err)
	case err != nil:
		return nil, invalidf("%s: %v", file, err)
	}
	tensors := make([]Tensor, len(stored))
	for i, t := range stored {
		dtype, ok := parseDType(t.DType)
		if !ok {
			panic("BUG: weights: dtype " + t.DType)
		}
		tensors[i] = Tensor{Name: t.Name, DType: dtype, Shape: t.Shape, data: t.Data}
	}
	return tensors, nil
}
