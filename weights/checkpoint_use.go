package weights

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Config returns the model's config, with the defaults filled in. Its Quantization must not be changed.
func (c *Checkpoint) Config() Config {
	config := c.config
	config.Labels = slices.Clone(config.Labels)
	return config
}

// Name returns the folder's base name, OWNER/MODEL for a folder of huggingface_hub's cache, or the name given to
// [FromMemory].
func (c *Checkpoint) Name() string { return c.name }

// Revision returns the commit on the hub, for a folder of huggingface_hub's cache; else nothing.
func (c *Checkpoint) Revision() string { return c.revision }

// snapshotPattern matches the folder of a checkpoint in huggingface_hub's cache: models--OWNER--MODEL/snapshots/COMMIT.
// Models of the hub's first days have no owner.
var snapshotPattern = regexp.MustCompile(`(?:^|/)models--([^/]+)/snapshots/([0-9a-f]{40})$`)

// nameOf returns the name of a folder's model, and its commit, given the folder's absolute path.
func nameOf(path string) (name, revision string) {
	if parts := snapshotPattern.FindStringSubmatch(filepath.ToSlash(path)); parts != nil {
		return strings.ReplaceAll(parts[1], "--", "/"), parts[2]
	}
	return filepath.Base(path), ""
}

// File returns a file of the folder whole, such as tokenizer.json; it must not be changed. name is a plain file
// name, or one of HeadFiles. The error wraps [io/fs.ErrNotExist] if there is none, and is [ErrInvalid] above 512 MiB.
func (c *Checkpoint) File(name string) ([]byte, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil, ErrClosed
	}
	if folder, _, below := strings.Cut(name, "/"); below && c.head != nil && isPlainName(folder) &&
		slices.Contains(c.headFiles(), name) {
		return c.src.readPath(name, maxFileBytes)
	}
	return c.src.read(name, maxFileBytes)
}

// JSON reads a file that holds an object, by the rules of json.Unmarshal. Errors are File's, or [ErrInvalid].
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

// Files lists the names of the files beside the weights, sorted; none after Close.
func (c *Checkpoint) Files() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil
	}
	return c.src.names()
}

// Changed returns an [ErrChanged] that names the first file, of those that were read, that is no longer on disk as it
// was when it was first read. Data that were read stay as they were.
func (c *Checkpoint) Changed() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.src.changed()
}

// Close makes later calls return [ErrClosed]. Data that were read stay readable. A second call does nothing.
func (c *Checkpoint) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.tensors, c.index, c.src.files = true, nil, nil, nil
	return nil
}
