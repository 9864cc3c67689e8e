package cpu

import (
	"cmp"

	"github.com/metalrank/metalrank/weights"
)

// words is the table of word embeddings [V, E], as it is stored. A batch needs a row for each of its tokens, so that a large
// table stays in the file: reading a row takes about a microsecond, where a model with such a table computes for a hundred
// or more.
type words struct {
	tensor weights.Tensor // in memory, unless there is a file
	file   *weights.Table
}

// maxWordsBytes is the size from which a table stays in the file: that of a vocabulary of 128,000 with 1,024 columns of half a
// byte; other tables are read into memory.
const maxWordsBytes = 64 << 20

// openWords returns the table, and the bytes that it has in memory.
func openWords(c *weights.Checkpoint, t weights.Tensor, a *arena) (w words, sizeBytes int, err error) {
	if t.SizeBytes() > maxWordsBytes {
		w.file, err = c.OpenTable(t)
		return w, 0, err
	}
	w.tensor, err = c.ReadTo(func(n int) []byte { return takeSlice[byte](a, n) }, t)
	return w, t.SizeBytes(), cmp.Or(a.err, err)
}

// row writes the embedding of a token [E].
func (w *words) row(to []float32, id int32) error {
	if w.file != nil {
		return w.file.Float32s(to, int(id))
	}
	w.tensor.Float32s(to, int(id)*len(to))
	return nil
}

func (w *words) close() error {
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}
