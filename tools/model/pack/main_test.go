package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/metalrank/metalrank/weights/builtin"
)

// TestPackAgain packs the embedded model once more: the copies and the table must be the committed ones. Compressed
// bytes and frame lengths are not compared, since the compressor weighs its choices with floats, which may round
// otherwise on another machine; the decompressed bytes are compared.
func TestPackAgain(t *testing.T) {
	c, err := builtin.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	src, dst, committed := t.TempDir(), t.TempDir(), filepath.Join("..", "..", "..", "weights", "builtin")
	for _, name := range append(slices.Clone(compressed), copied...) {
		data, err := c.File(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(src, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(src, dst); err != nil {
		t.Fatal(err)
	}
	read := func(dir, name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for _, name := range copied {
		if !bytes.Equal(read(dst, name), read(committed, name)) {
			t.Errorf("%s differs", name)
		}
	}
	lengths := regexp.MustCompile(`frames: \[\]int\{[\d, ]+\}`)
	table := func(dir string) string { return lengths.ReplaceAllString(string(read(dir, "files_gen.go")), "") }
	if got, want := table(dst), table(committed); got != want {
		t.Errorf("files_gen.go\n got %s\nwant %s", got, want)
	}
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	for _, name := range compressed {
		if got, err := dec.DecodeAll(read(dst, name+".zst"), nil); err != nil || !bytes.Equal(got, read(src, name)) {
			t.Errorf("%s decompresses to %d bytes, %v", name, len(got), err)
		}
	}
}
