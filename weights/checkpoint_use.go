package weights

import (
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Config returns what config.json says, with the defaults filled in. Its Quantization must not be changed.
func (c *Checkpoint) Config() Config {
	config := c.config
	config.Labels = slices.Clone(config.Labels)
	return config
}

// Name returns the folder's base name, or the name given to [FromMemory].
func (c *Checkpoint) Name() string { return c.name }

// File returns a file of the folder whole, such as tokenizer.json; it must not be changed. name is a plain file
// name. The error wraps [io/fs.ErrNotExist] if there is none, and is [ErrInvalid] above 512 MiB.
func (c *Checkpoint) File(name string) ([]byte, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil, ErrClosed
	}
	return c.src.read(name, maxFileBytes)
}

// JSON reads a file that holds an object, for json.Unmarshal's rules. Errors are File's, or [ErrInvalid].
func (c *Checkpoint) JSON(name string, to any) error {
	data, err := c.File(name)
	if err != nil {
		return err
	}
	if jsontext.Value(data).Kind() != '{' {
		return invalidf("%s: begins with %s, want a JSON object", name, quote(data[:min(len(data), 20)]))
	}
	if err := json.Unmarshal(data, to); err != nil {
		return headerError(name, err)
	}
	return nil
}

// Tensors returns all tensors, sorted by name; none after Close.
func (c *Checkpoint) Tensors() []Tensor {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.tensors)
}

// Tensor returns a tensor by the name that it has in the file; false if there is none, or after Close.
func (c *Checkpoint) Tensor(name string) (Tensor, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.lookup(name)
}

// lookup is Tensor for callers that hold the lock.
func (c *Checkpoint) lookup(name string) (Tensor, bool) {
	i, ok := c.index[name]
	if !ok {
		return Tensor{}, false
	}
	return c.tensors[i], true
}

// Pages returns the memory pages that hold a tensor's bytes, the same for all tensors of a file, and where in them the
// bytes begin: what a device needs to read a mapped file without a copy. They are borrowed and read-only, as
// [Tensor.Bytes] are. false if the tensor is not in a mapped file.
func (c *Checkpoint) Pages(t Tensor) (pages []byte, offset int, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil, 0, false
	}
	for _, m := range c.src.maps {
		if pages, offset, ok := wholePages(m, t.data); ok {
			return pages, offset, true
		}
	}
	return nil, 0, false
}

// Files lists the names of the files beside the weights, sorted; none after Close.
func (c *Checkpoint) Files() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil
	}
	return c.src.names()
}

// Forget tells the system that what was read of the weights need not be kept in this process's memory. They stay
// readable. For one who goes through all of them once.
func (c *Checkpoint) Forget() {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return
	}
	for _, m := range c.src.maps {
		forgetFile(m)
	}
}

// Close unmaps the files; tensors and their bytes are gone then, and touching them ends the process. A second call
// does nothing.
func (c *Checkpoint) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed, c.tensors, c.index = true, nil, nil
	return c.src.close()
}
