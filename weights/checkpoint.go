// Package weights reads checkpoints of Hugging Face's layout: config.json beside model.safetensors or pytorch_model.bin,
// whole or in shards, or beside a GGUF file. Opening reads the names, types and shapes of the tensors. [Checkpoint.Read]
// reads their data, into memory that no other process can write to. Files are not trusted: everything in them is checked
// before it is used, and wrong input gives errors, never panics. A file that changes while the checkpoint is open gives
// [ErrChanged], never a mixture of old and new data.
//
// The package must not know devices, HTTP or tokens, and imports nothing of this module but weights/quant,
// weights/pickle and weights/gguf.
package weights

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// maxFileBytes bounds [Checkpoint.File]; the largest tokenizer.json in use have about 35 MB.
const maxFileBytes = 512 << 20

// Checkpoint is an open model: its config, its tensors, and the small files beside them. Methods may be called from
// several goroutines.
type Checkpoint struct {
	name     string
	revision string

	mu           sync.RWMutex
	closed       bool         // guarded by mu
	src          *source      // guarded by mu
	config       Config       // immutable after load
	pairSettings PairSettings // immutable
	modules      []string     // immutable; classes of modules.json, without their packages
	// sentenceModel is immutable; sentence-transformers' class that saved the folder, "CrossEncoder"; may be empty.
	sentenceModel string
	head          *modularHead   // immutable; nil where the model has its head itself
	tokens        *scoreTokens   // immutable; nil unless the score is made of logits of tokens
	tensors       []Tensor       // guarded by mu; sorted by name
	index         map[string]int // guarded by mu; name -> place in tensors
}

// Open opens a checkpoint folder: config.json with model.safetensors, or with model.safetensors.index.json and its
// shards, or with pytorch_model.bin or its index and shards, or with a single GGUF file. The first that is there is used,
// as in transformers. dir may be a GGUF file itself, with config.json beside it. Errors are [ErrInvalid],
// [ErrUnsupported], [io/fs.ErrNotExist] or those of the system.
func Open(dir string) (*Checkpoint, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, causef(fs.ErrNotExist, "no folder %s", quote(dir))
	case err != nil:
		return nil, causef(err, "%s", quote(dir))
	case !info.IsDir() && strings.HasSuffix(dir, ggufSuffix):
		folder, file := filepath.Dir(dir), filepath.Base(dir)
		return load(strings.TrimSuffix(file, ggufSuffix), &source{place: folder, dir: folder, gguf: file})
	case !info.IsDir():
		return nil, invalidf("%s: a file, want the folder that holds %s and %s: %s", dir, configFile, weightsFile, filepath.Dir(dir))
	}
	name := dir
	if abs, err := filepath.Abs(dir); err == nil {
		name = abs // Base of "." is "."
	}
	name, revision := nameOf(name)
	c, err := load(name, &source{place: dir, dir: dir})
	if err == nil {
		c.revision = revision
	}
	return c, err
}

// FromMemory makes the same checks on files held in memory, by name. It keeps the slices without copying them, so
// they must not change until Close.
func FromMemory(name string, files map[string][]byte) (*Checkpoint, error) {
	files = maps.Clone(files)
	if files == nil {
		files = map[string][]byte{}
	}
	return load(name, &source{place: name, files: files})
}

// load opens a checkpoint from any source.
func load(name string, src *source) (*Checkpoint, error) {
	c := &Checkpoint{name: name, src: src}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// load reads in the order of cost, so that a model of another kind is refused before its weights are touched.
func (c *Checkpoint) load() error {
	if err := c.src.findGGUF(); err != nil {
		return err
	}
	if err := c.refuseAdapter(); err != nil {
		return err
	}
	data, err := c.src.read(configFile, maxConfigBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return c.src.explainConfig(err)
	} else if err != nil {
		return err
	}
	if c.config, err = ParseConfig(data); err != nil {
		return err
	}
	if err := c.readPairSettings(); err != nil {
		return err
	}
	if err := c.findTokens(); err != nil {
		return err
	}
	if c.tensors, err = c.src.loadTensors(c.config); err != nil {
		return err
	}
	if err := c.loadHead(); err != nil {
		return err
	}
	slices.SortFunc(c.tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	c.index = make(map[string]int, len(c.tensors))
	for i, t := range c.tensors {
		c.index[t.Name] = i
	}
	classifier := familyOf(c.config.ModelType, "").classifier + ".weight"
	if t, ok := c.lookup(classifier); ok && c.config.LabelsUnstated && len(t.Shape) == 2 && t.Shape[0] == 1 {
		c.config.Labels = numberedLabels(1)
	}
	return nil
}

// findGGUF chooses the GGUF file of a folder that has no weights in another form.
func (s *source) findGGUF() error {
	if s.gguf != "" {
		return nil
	}
	var found []string
	for _, name := range s.names() {
		switch {
		case slices.Contains([]string{weightsFile, indexFile, pickleFile, pickleIndexFile}, name):
			return nil
		case strings.HasSuffix(name, ggufSuffix):
			found = append(found, name)
		}
	}
	if len(found) > 1 {
		return invalidf("%s: %d GGUF files, from %s to %s: name one of them", s.place, len(found), quote(found[0]), quote(found[len(found)-1]))
	}
	if len(found) == 1 {
		s.gguf = found[0]
	}
	return nil
}

// loadTensors opens the weights in the first of the forms that are there, in the order of transformers. If the folder
// has them in another form, the error gives advice.
func (s *source) loadTensors(config Config) ([]Tensor, error) {
	if s.gguf != "" {
		return s.loadFile(s.gguf, config)
	}
	names := s.names()
	for _, form := range []struct {
		file string
		load func() ([]Tensor, error)
	}{
		{weightsFile, func() ([]Tensor, error) { return s.loadFile(weightsFile, config) }},
		{indexFile, func() ([]Tensor, error) { return s.loadShards(indexFile, ".safetensors", config) }},
		{pickleFile, func() ([]Tensor, error) { return s.loadFile(pickleFile, config) }},
		{pickleIndexFile, func() ([]Tensor, error) { return s.loadShards(pickleIndexFile, pickleSuffix, config) }},
	} {
		tensors, err := form.load()
		if !errors.Is(err, fs.ErrNotExist) || slices.Contains(names, form.file) { // an index may be there without a shard
			return tensors, err
		}
	}
	return nil, s.explainWeights(names)
}
