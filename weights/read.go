package weights

import (
	"errors"
	"iter"
)

// tensor returns a tensor of the file, with its data if they are in memory.
func (b *blob) tensor(name string, d DType, shape []int, offset, sizeBytes int64) Tensor {
	t := Tensor{Name: name, DType: d, Shape: shape, file: b.name, offset: offset, sizeBytes: sizeBytes}
	if b.file == nil {
		t.data = b.data[offset : offset+sizeBytes : offset+sizeBytes]
	}
	return t
}

// Read returns a tensor with its data, in memory of their own or that of [FromMemory]. Errors are [ErrChanged] if the
// file has changed since it was first read, [ErrClosed], or those of the system.
func (c *Checkpoint) Read(t Tensor) (Tensor, error) { return c.ReadTo(nil, t) }

// ReadTo is Read into memory from allocate, which returns as many bytes as it is asked for, or none.
func (c *Checkpoint) ReadTo(allocate func(sizeBytes int) []byte, t Tensor) (Tensor, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return t, ErrClosed
	}
	return c.readWhole(allocate, t)
}

// readWhole is ReadTo for callers that hold the lock.
func (c *Checkpoint) readWhole(allocate func(sizeBytes int) []byte, t Tensor) (Tensor, error) {
	if t.Quant != nil {
		parts := *t.Quant
		err := c.src.fill(allocate, &parts.Codes, &parts.Scales, &parts.Biases)
		t.Quant, t.data = &parts, parts.Codes.data
		return t, err
	}
	if t.Channel != nil {
		parts := *t.Channel
		err := c.src.fill(allocate, &parts.Codes, &parts.Scales)
		t.Channel, t.data = &parts, parts.Codes.data
		return t, err
	}
	err := c.src.fill(allocate, &t)
	return t, err
}

// fill reads the data of tensors that don't have them.
func (s *source) fill(allocate func(int) []byte, tensors ...*Tensor) error {
	for _, t := range tensors {
		if t.data != nil {
			continue
		}
		b, err := s.open(t.file)
		if err != nil {
			return err
		}
		t.data, err = b.bytes(t.offset, t.sizeBytes, allocate)
		if err := errors.Join(err, b.close()); err != nil {
			return err
		}
	}
	return nil
}

// Pieces reads a tensor piece by piece: matrices of whole rows, of the last axis, with about the given number of
// elements each.
func (c *Checkpoint) Pieces(t Tensor, elements int) iter.Seq2[Tensor, error] {
	return func(yield func(Tensor, error) bool) {
		rows, width := t.rows()
		step := max(1, elements/max(width, 1))
		for begin := 0; begin < rows; begin += step {
			piece, err := c.Read(t.Rows(begin, min(begin+step, rows)))
			if !yield(piece, err) || err != nil {
				return
			}
		}
	}
}

// rows returns the number of rows of the last axis, and their length.
func (t Tensor) rows() (rows, width int) {
	n := t.Len()
	if len(t.Shape) == 0 {
		return 1, 1
	}
	if width = t.Shape[len(t.Shape)-1]; width == 0 {
		return 0, 0
	}
	return n / width, width
}

// Rows returns rows [begin, end) of the last axis as a matrix, without copying or reading. Tensors that are not
// IsNumeric may have rows that are no whole bytes; of these, all or none are taken.
func (t Tensor) Rows(begin, end int) Tensor {
	rows, width := t.rows()
	if t.Quant != nil {
		parts := *t.Quant
		parts.Codes, parts.Scales, parts.Biases = parts.Codes.Rows(begin, end), parts.Scales.Rows(begin, end), parts.Biases.Rows(begin, end)
		t.Quant = &parts
	}
	if t.Channel != nil {
		parts := *t.Channel
		parts.Codes, parts.Scales = parts.Codes.Rows(begin, end), parts.Scales.Rows(begin, end)
		t.Channel = &parts
	}
	if rows > 0 {
		size := int64(len(t.data))
		if t.data == nil {
			size = t.sizeBytes
		}
		row := size / int64(rows)
		t.offset, t.sizeBytes = t.offset+row*int64(begin), row*int64(end-begin)
		if begin == 0 && end == rows {
			t.sizeBytes = size
		}
		if t.data != nil {
			t.data = t.data[row*int64(begin):][:t.sizeBytes]
		}
	}
	t.Shape = []int{end - begin, width}
	return t
}
