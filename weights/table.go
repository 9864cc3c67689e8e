package weights

import "errors"

// Table reads single rows of a matrix from its files, which it keeps open: of a vocabulary's embeddings, a batch needs a few
// rows. So a removed file stays readable. Methods may be called from several goroutines.
type Table struct {
	tensor Tensor
	files  map[string]*blob // by name; none where the data are in memory
}

// OpenTable opens a matrix for reading by rows. It reads no data. Errors are those of [Checkpoint.Read].
func (c *Checkpoint) OpenTable(t Tensor) (*Table, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil, ErrClosed
	}
	table := &Table{tensor: t, files: map[string]*blob{}}
	for _, part := range t.parts() {
		if part.data != nil || table.files[part.file] != nil {
			continue
		}
		b, err := c.src.open(part.file)
		if err != nil {
			return nil, errors.Join(err, table.Close())
		}
		table.files[part.file] = b
	}
	return table, nil
}

// parts are the tensors that have a tensor's data; those of a quantised one may be changed.
func (t *Tensor) parts() []*Tensor {
	switch {
	case t.Quant != nil:
		return []*Tensor{&t.Quant.Codes, &t.Quant.Scales, &t.Quant.Biases}
	case t.Channel != nil:
		return []*Tensor{&t.Channel.Codes, &t.Channel.Scales}
	}
	return []*Tensor{t}
}

// Float32s decodes a row into dst, which has its length. The error is [ErrChanged] if the file was written to since it was
// first read, or one of the system; dst is undefined then.
func (t *Table) Float32s(dst []float32, row int) error {
	one := t.tensor.Rows(row, row+1)
	for _, part := range one.parts() {
		if part.data != nil {
			continue
		}
		var err error
		if part.data, err = t.files[part.file].bytes(part.offset, part.sizeBytes, nil); err != nil {
			return err
		}
	}
	switch {
	case one.Quant != nil:
		one.data = one.Quant.Codes.data
	case one.Channel != nil:
		one.data = one.Channel.Codes.data
	}
	one.Float32s(dst, 0)
	return nil
}

// Close closes the files. A second call does nothing.
func (t *Table) Close() error {
	var errs []error
	for _, b := range t.files {
		errs = append(errs, b.close())
	}
	t.files = nil
	return errors.Join(errs...)
}
