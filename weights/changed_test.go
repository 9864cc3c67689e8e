package weights

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writes are the ways in which other programs change a file of an open checkpoint.
var writes = map[string]func(path string, data []byte) error{
	"truncated": func(path string, _ []byte) error { return os.Truncate(path, 3) },
	"emptied":   func(path string, _ []byte) error { return os.WriteFile(path, nil, 0o644) },
	"other bytes": func(path string, data []byte) error {
		other := bytes.Repeat([]byte{1}, len(data))
		return errors.Join(os.WriteFile(path, other, 0o644), os.Chtimes(path, time.Time{}, time.Unix(1, 0)))
	},
	"longer": func(path string, data []byte) error { return os.WriteFile(path, append(data, 0), 0o644) },
	"replaced": func(path string, data []byte) error {
		return errors.Join(os.WriteFile(path+".new", data, 0o644), os.Rename(path+".new", path))
	},
	"removed": func(path string, _ []byte) error { return os.Remove(path) },
}

func put(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// TestChanged: data that were read before a file changes stay as they were, later reads fail, and Changed names the
// file. It holds for weights, whole and in shards, and for the small files.
func TestChanged(t *testing.T) {
	files := map[string]map[string][]byte{
		weightsFile:                        tinyFiles(),
		"model-00002-of-00002.safetensors": shardedFiles(),
		configFile:                         tinyFiles(),
	}
	for name, from := range files {
		for what, write := range writes {
			dir := writeFolder(t, from)
			c, err := Open(dir)
			put(t, err)
			before, _ := c.Tensor("classifier.bias")
			before, err = c.Read(before)
			put(t, err, c.Changed())
			was := bytes.Clone(before.Bytes())

			put(t, write(filepath.Join(dir, name), bytes.Clone(from[name])))
			if err := c.Changed(); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), name) ||
				errors.Is(err, fs.ErrNotExist) != (what == "removed") {
				t.Errorf("%s %s: Changed: %v", name, what, err)
			}
			if !bytes.Equal(before.Bytes(), was) {
				t.Errorf("%s %s: what was read is different", name, what)
			}
			if name == configFile {
				if _, err := c.File(configFile); err == nil {
					t.Errorf("%s %s: it can still be read", name, what)
				}
				continue
			}
			failed := 0
			for _, x := range c.Tensors() {
				if _, err := c.Read(x); errors.Is(err, ErrChanged) || errors.Is(err, fs.ErrNotExist) {
					failed++
				} else if err != nil {
					t.Errorf("%s %s: %v", name, what, err)
				}
			}
			if failed == 0 {
				t.Errorf("%s %s: everything can still be read", name, what)
			}
		}
	}
}

// TestChangedWhileRead cuts a file short, or writes to it, between two reads of the same open file.
func TestChangedWhileRead(t *testing.T) {
	for what, write := range writes {
		if what == "replaced" || what == "removed" {
			continue // an open file stays the old one
		}
		dir := writeFolder(t, tinyFiles())
		b, err := (&source{place: dir, dir: dir}).open(weightsFile)
		put(t, err)
		_, err = b.bytes(0, 8, nil)
		put(t, err)
		put(t, write(filepath.Join(dir, weightsFile), tinyFiles()[weightsFile]))
		if _, err := b.bytes(8, 100, nil); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", what, err)
		}
		put(t, b.close())
	}
}

// TestPieces: pieces of rows have the elements of the whole, of every kind of tensor, read or not.
func TestPieces(t *testing.T) {
	dir := writeFolder(t, tinyFiles())
	c, err := Open(dir)
	put(t, err)
	for _, x := range c.Tensors() {
		whole, err := c.Read(x)
		put(t, err)
		for _, elements := range []int{1, 17, 1 << 20} {
			var joined []byte
			for piece, err := range c.Pieces(x, elements) {
				put(t, err)
				joined = append(joined, piece.Bytes()...)
			}
			if !bytes.Equal(joined, whole.Bytes()) {
				t.Errorf("%s in pieces of %d is another", x.Name, elements)
			}
		}
	}
}
