package engine

import (
	"errors"

	"github.com/metalrank/metalrank/weights"
)

// Check returns the error that Open would return for a checkpoint on any backend: missing tensors, a tokenizer that is not
// supported. The caller keeps the checkpoint.
func Check(checkpoint *weights.Checkpoint) error {
	if _, err := chooseActivation(checkpoint.Config()); err != nil {
		return err
	}
	t, err := openTokenizer(checkpoint, false)
	if err != nil {
		return err
	}
	_, err = checkpoint.BERT()
	return errors.Join(err, t.close())
}
