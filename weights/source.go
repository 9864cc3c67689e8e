package weights

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// source is where the files of a checkpoint come from: a folder, or memory if files is not nil.
type source struct {
	place string // for error texts: the folder, or the name given
	dir   string
	files map[string][]byte
	maps  [][]byte // to be unmapped by close
	gguf  string   // the file of weights, if it is one of GGUF; found by findGGUF, or given
}

// missing is the error for a file that is not there.
func (s *source) missing(name string) error {
	if s.gguf != "" {
		return causef(fs.ErrNotExist, "%s: no %s beside %s, want config.json and tokenizer.json of the checkpoint that it was made from",
			s.place, name, quote(s.gguf))
	}
	return causef(fs.ErrNotExist, "%s: no %s", s.place, name)
}

// read returns the whole of a small file. Symbolic links are followed wherever they lead: the cache of
// huggingface_hub is made of links into ../../blobs.
func (s *source) read(name string, maxBytes int64) ([]byte, error) {
	if !isPlainName(name) {
		return nil, invalidf("%s: file %s, want a plain file name", s.place, quote(name))
	}
	if s.files != nil {
		data, ok := s.files[name]
		if !ok {
			return nil, s.missing(name)
		}
		if int64(len(data)) > maxBytes {
			return nil, s.tooLarge(name, int64(len(data)), maxBytes)
		}
		return inPlace(name, data)
	}
	f, size, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > maxBytes {
		return nil, s.tooLarge(name, size, maxBytes)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, causef(err, "%s", filepath.Join(s.dir, name))
	}
	return inPlace(name, data)
}

// tooLarge is the error for a file that would be read into memory whole, but is no file of its kind.
func (s *source) tooLarge(name string, size, maxBytes int64) error {
	return invalidf("%s: %s: %s, want at most %s", s.place, name, sizeText(uint64(size)), sizeText(uint64(maxBytes)))
}

// open opens a regular file of the folder and returns its size.
func (s *source) open(name string) (*os.File, int64, error) {
	path := filepath.Join(s.dir, name)
	// Looked at before it is opened, since opening a pipe waits for its writer.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, 0, invalidf("%s: not a regular file", path)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		// Files that need not be there must not go unnoticed with a folder that was copied without what it links to.
		if target, err := os.Readlink(path); err == nil {
			return nil, 0, invalidf("%s: a link to %s, which is not there", path, quote(target))
		}
		return nil, 0, s.missing(name)
	} else if err != nil {
		return nil, 0, causef(err, "%s", s.place)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		err = causef(errors.Join(err, f.Close()), "%s", s.place)
	case !info.Mode().IsRegular(): // replaced since
		err = errors.Join(invalidf("%s: not a regular file", path), f.Close())
	default:
		return f, info.Size(), nil
	}
	return nil, 0, err
}

// loadFile maps a file of weights and checks it, going by its name for the format.
func (s *source) loadFile(name string) ([]Tensor, error) {
	data, err := s.mapped(name)
	switch {
	case err != nil:
		return nil, err
	case strings.HasSuffix(name, pickleSuffix):
		return parsePickle(name, data)
	default:
		return parseSafetensors(name, data)
	}
}

// mapped maps a file until close.
func (s *source) mapped(name string) ([]byte, error) {
	if s.files != nil {
		data, ok := s.files[name]
		if !ok {
			return nil, s.missing(name)
		}
		return inPlace(name, data)
	}
	f, size, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the mapping outlives the descriptor
	if size == 0 {  // no system maps an empty file
		return inPlace(name, nil)
	}
	data, err := mapFile(f, size)
	if err != nil {
		return nil, causef(err, "%s", filepath.Join(s.dir, name))
	}
	s.maps = append(s.maps, data)
	return inPlace(name, data)
}

// names lists what is in the folder, sorted; nothing if it cannot be read.
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

// close unmaps everything.
func (s *source) close() error {
	var errs []error
	for _, m := range s.maps {
		errs = append(errs, unmapFile(m))
	}
	s.maps, s.files = nil, nil
	return errors.Join(errs...)
}
