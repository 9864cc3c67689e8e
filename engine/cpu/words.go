package cpu

/*
#include "kernels.h"

// prefetch_rows fetches rows of a table into the second-level cache. Each row that is read by itself would wait for memory several
// times.
static void prefetch_rows(const void* table, size_t row_bytes, const int32_t* ids, int n) {
	for (int i = 0; i < n; i++) {
		const char* row = (const char*)table + ids[i] * row_bytes;
		for (size_t at = 0; at < row_bytes; at += 64)
			__builtin_prefetch(row + at, 0, 2);
	}
}

static void widen_halves(const struct kernels* kernels, const uint16_t* x, float* y, int n) {
	kernels->widen_halves(x, y, n);
}
*/
import "C"

import (
	"cmp"
	"unsafe"

	"github.com/metalrank/metalrank/weights"
)

// words is the table of word embeddings [V, E], as it is stored. A batch needs a row for each of its tokens, so that a large
// table stays in the file: reading a row takes about a microsecond, where a model with such a table computes for a hundred
// or more.
type words struct {
	kernels *C.struct_kernels
	tensor  weights.Tensor // in memory, unless there is a file
	file    *weights.Table
}

// maxWordsBytes is the size from which a table stays in the file: that of a vocabulary of 128,000 with 1,024 columns of half a
// byte; other tables are read into memory.
const maxWordsBytes = 64 << 20

// openWords returns the table, and the bytes that it has in memory.
func openWords(kernels *C.struct_kernels, c *weights.Checkpoint, t weights.Tensor, a *arena) (w words, sizeBytes int, err error) {
	w.kernels = kernels
	if t.SizeBytes() > maxWordsBytes {
		w.file, err = c.OpenTable(t)
		return w, 0, err
	}
	w.tensor, err = c.ReadTo(func(n int) []byte { return takeSlice[byte](a, n) }, t)
	return w, t.SizeBytes(), cmp.Or(a.err, err)
}

// prefetch says that the rows of these tokens are read next.
func (w *words) prefetch(ids []int32) {
	if w.file == nil {
		table := w.tensor.Bytes()
		rowBytes := len(table) / w.tensor.Shape[0]
		C.prefetch_rows(unsafe.Pointer(unsafe.SliceData(table)), C.size_t(rowBytes), (*C.int32_t)(unsafe.SliceData(ids)), C.int(len(ids)))
	}
}

// row writes the embedding of a token [E].
func (w *words) row(to []float32, id int32) error {
	if w.file != nil {
		return w.file.Float32s(to, int(id))
	}
	if w.tensor.DType == weights.F16 {
		widenHalves(w.kernels, to, w.tensor.Bytes()[2*int(id)*len(to):][:2*len(to)])
		return nil
	}
	w.tensor.Float32s(to, int(id)*len(to))
	return nil
}

// widenHalves is F16's Decode by kernels.
func widenHalves(kernels *C.struct_kernels, to []float32, from []byte) {
	C.widen_halves(kernels, (*C.uint16_t)(unsafe.Pointer(unsafe.SliceData(from))), (*C.float)(unsafe.SliceData(to)), C.int(len(to)))
}

func (w *words) close() error {
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}
