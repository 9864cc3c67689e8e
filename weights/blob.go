package weights

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// blob is an open file of a checkpoint. Files are read, not mapped: another process may write into a mapped file, or cut
// it short, which ends the process that touches it.
type blob struct {
	name string
	size int64
	data []byte // of a file in memory

	path string      // of a file on disk
	file *os.File    // nil in memory
	info fs.FileInfo // when the file was first opened
}

// open opens a regular file. It returns an error if the file has changed since it was first opened.
func (s *source) open(name string) (*blob, error) {
	if s.files != nil {
		data, ok := s.files[name]
		if !ok {
			return nil, s.missing(name)
		}
		return (&blob{name: name, size: int64(len(data)), data: data}).checked()
	}
	path := filepath.Join(s.dir, name)
	// Checked before it is opened, since opening a pipe waits for its writer.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, invalidf("%s: not a regular file", path)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		// A dangling link is an error, even for an optional file: the folder was copied without the links' targets.
		if target, err := os.Readlink(path); err == nil {
			return nil, invalidf("%s: a link to %s, which is not there", path, quote(target))
		}
		return nil, s.missing(name)
	} else if err != nil {
		return nil, causef(err, "%s", s.place)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		err = causef(err, "%s", s.place)
	case !info.Mode().IsRegular(): // replaced since
		err = invalidf("%s: not a regular file", path)
	default:
		b := &blob{name: name, size: info.Size(), path: path, file: f, info: s.firstInfo(name, info)}
		if err = b.unchanged(); err == nil {
			return b.checked()
		}
	}
	return nil, errors.Join(err, f.Close())
}

// checked returns b, or closes it and returns the error of checkInPlace.
func (b *blob) checked() (*blob, error) {
	start, err := b.bytes(0, min(b.size, maxStandInBytes), nil)
	if err == nil {
		err = checkInPlace(b.name, start)
	}
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// firstInfo returns the file's info from when it was first opened. On the first call, it records info and returns it.
func (s *source) firstInfo(name string, info fs.FileInfo) fs.FileInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, ok := s.firstInfos[name]; ok {
		return before
	}
	if s.firstInfos == nil {
		s.firstInfos = map[string]fs.FileInfo{}
	}
	s.firstInfos[name] = info
	return info
}

// sameFile reports whether a file is the same as before and was not written to.
func sameFile(before, now fs.FileInfo) bool {
	return os.SameFile(before, now) && before.Size() == now.Size() && before.ModTime().Equal(now.ModTime())
}

// unchanged returns an error if the file is another one than at first, or was written to.
func (b *blob) unchanged() error {
	if b.file == nil {
		return nil
	}
	now, err := b.file.Stat()
	if err != nil {
		return causef(err, "%s", b.path)
	}
	if !sameFile(b.info, now) {
		return changedf("%s", b.path)
	}
	return nil
}

// ReadAt implements io.ReaderAt. An end of the file before its first size is [ErrChanged].
func (b *blob) ReadAt(p []byte, offset int64) (int, error) {
	if b.file == nil {
		return bytes.NewReader(b.data).ReadAt(p, offset)
	}
	n, err := b.file.ReadAt(p, offset)
	if errors.Is(err, io.EOF) && offset+int64(n) < b.size {
		return n, changedf("%s", b.path)
	}
	return n, err
}

// bytes returns part of the file, which must lie within it: a copy in memory from allocate, or make if that is nil,
// unless the file is in memory itself. It returns an error if the file was written to before the copy was whole.
func (b *blob) bytes(offset, size int64, allocate func(sizeBytes int) []byte) ([]byte, error) {
	if b.file == nil {
		return b.data[offset : offset+size : offset+size], nil
	}
	if size > math.MaxInt {
		return nil, invalidf("%s: %s is larger than the address space", b.name, sizeText(uint64(size)))
	}
	if allocate == nil {
		allocate = func(sizeBytes int) []byte { return make([]byte, sizeBytes) }
	}
	data := allocate(int(size))
	if len(data) != int(size) {
		return nil, causef(errNoMemory, "%s: %s", b.name, sizeText(uint64(size)))
	}
	if n, err := b.ReadAt(data, offset); err != nil && n < len(data) {
		if errors.Is(err, ErrChanged) {
			return nil, err
		}
		return nil, causef(err, "%s", b.path)
	}
	return data, b.unchanged()
}

func (b *blob) close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}

// changed returns an error that names the first file that has changed since it was read.
func (s *source) changed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.firstInfos)) {
		path := filepath.Join(s.dir, name)
		now, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return &kindError{path + ": is gone since it was read", []error{ErrChanged, fs.ErrNotExist}}
		case err != nil:
			return &kindError{path + ": " + err.Error(), []error{ErrChanged, err}}
		case !sameFile(s.firstInfos[name], now):
			return changedf("%s", path)
		}
	}
	return nil
}
