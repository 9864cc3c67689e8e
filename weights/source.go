package weights

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
)

// source is the source of a checkpoint's files: a folder, or memory if files is not nil.
type source struct {
	place string // for error texts: the folder, or the name given
	dir   string
	files map[string][]byte
	gguf  string // the file of weights, if it is one of GGUF; found by findGGUF, or given

	mu         sync.Mutex
	firstInfos map[string]fs.FileInfo // guarded by mu; files by name, as they were first opened
}

// missing returns the error for a file that is not there.
func (s *source) missing(name string) error {
	if s.gguf != "" {
		return causef(fs.ErrNotExist, "%s: no %s beside %s, want config.json and tokenizer.json of the checkpoint that it was made from",
			s.place, name, quote(s.gguf))
	}
	return causef(fs.ErrNotExist, "%s: no %s", s.place, name)
}

// read returns the whole of a small file. Symbolic links are followed wherever they lead: the cache of
// huggingface_hub is made of links into ../../blobs.
func (s *source) read(name string, maxBytes int64) (data []byte, err error) {
	if !isPlainName(name) {
		return nil, invalidf("%s: file %s, want a plain file name", s.place, quote(name))
	}
	return s.readPath(name, maxBytes)
}

// readPath is read for a path below the folder, of which the caller has checked the parts.
func (s *source) readPath(name string, maxBytes int64) (data []byte, err error) {
	b, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if b.size > maxBytes {
		return nil, s.tooLarge(name, b.size, maxBytes)
	}
	return b.bytes(0, b.size, nil)
}

// tooLarge returns the error for a file that would be read into memory whole, but is too large for its kind.
func (s *source) tooLarge(name string, size, maxBytes int64) error {
	return invalidf("%s: %s: %s, want at most %s", s.place, name, sizeText(uint64(size)), sizeText(uint64(maxBytes)))
}

// loadFile reads the names, types and shapes of the tensors in a file of weights, and checks them. The name tells the
// format.
func (s *source) loadFile(name string, config Config) (tensors []Tensor, err error) {
	b, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	switch {
	case strings.HasSuffix(name, pickleSuffix):
		tensors, err = parsePickle(b)
	case strings.HasSuffix(name, ggufSuffix):
		tensors, err = parseGGUF(b, config)
	default:
		tensors, err = parseSafetensors(b)
	}
	// A changed file explains other errors, and is reported instead.
	if changed := b.unchanged(); changed != nil {
		return nil, changed
	}
	return tensors, err
}

// names lists the entries of the folder, sorted; none if it cannot be read.
func (s *source) names() []string {
	if s.files != nil {
		return slices.Sorted(maps.Keys(s.files))
	}
	entries, _ := os.ReadDir(s.dir)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
