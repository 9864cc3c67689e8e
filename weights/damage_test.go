package weights

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// smallestFiles has one layer, to keep the number of bytes down.
func smallestFiles() map[string][]byte {
	one := tiny
	one.Layers = 1
	positions := Tensor{Name: "bert.embeddings.position_ids", DType: I64, Shape: []int{1, 7}, data: make([]byte, 7*8)}
	return map[string][]byte{
		configFile:  []byte(configJSON(one)),
		weightsFile: writeSafetensors(append(bertTensors(one, F16), positions)),
	}
}

// TestTruncated cuts each file of a checkpoint at every length. None of it panics, and all of it is noticed: the
// header says where the data end, and JSON says where it ends itself.
func TestTruncated(t *testing.T) {
	files := smallestFiles()
	for name, whole := range files {
		dir := writeFolder(t, files)
		for n := range whole {
			if _, b, err := useAll(with(files, name, string(whole[:n]))); err == nil || b != nil {
				t.Fatalf("%s cut to %d of %d bytes: no error", name, n, len(whole))
			}
			if n%7 == 0 { // on disk as well, where a mapping could be touched past its end
				if err := os.WriteFile(filepath.Join(dir, name), whole[:n], 0o644); err != nil {
					t.Fatal(err)
				}
				if _, err := Open(dir); err == nil {
					t.Fatalf("%s cut to %d of %d bytes: no error from the folder", name, n, len(whole))
				}
			}
		}
	}
}

// TestFlipped flips each bit of each file of a checkpoint. Nothing panics. Must be noticed: any flip in the header's
// length, in a number or dtype of the header, and in the name of a tensor that the model needs. Need not be: flips in
// the data, which carry no checksum. All others either are errors, or leave a model that is consistent.
func TestFlipped(t *testing.T) {
	files := smallestFiles()
	whole := files[weightsFile]
	headerEnd := headerLengthBytes + int(binary.LittleEndian.Uint64(whole))
	mustNotice := make([]bool, headerEnd)
	mark := func(pattern string) {
		for _, m := range regexp.MustCompile(pattern).FindAllIndex(whole[:headerEnd], -1) {
			for i := m[0]; i < m[1]; i++ {
				mustNotice[i] = true
			}
		}
	}
	for i := range headerLengthBytes {
		mustNotice[i] = true
	}
	mark(`"dtype":"\w+"`)
	mark(`"shape":\[[\d,]+\]`)
	mark(`"data_offsets":\[[\d,]+\]`)
	mark(`"(bert|classifier)\.[\w.]+(weight|bias)":`)

	counts := map[string]int{}
	for name := range files {
		for i := range len(files[name]) * 8 {
			if name == weightsFile && i/8 >= headerEnd && i%8 != 7 {
				continue // one bit of each byte is enough where nothing is looked at
			}
			flipped := bytes.Clone(files[name])
			flipped[i/8] ^= 1 << (i % 8)
			c, b, err := useAll(with(files, name, string(flipped)))
			switch {
			case err != nil:
				counts["noticed in "+name]++
			case name == weightsFile && i/8 < headerEnd && mustNotice[i/8]:
				t.Fatalf("%s: byte %d bit %d, in %q: not noticed", name, i/8, i%8, whole[max(0, i/8-20):i/8+20])
			default:
				counts["harmless in "+name]++
				checkConsistent(t, c, b)
			}
		}
	}
	t.Log(counts)
}

// checkConsistent checks that tensors have the bytes of their shapes, tile the file, and fit the config.
func checkConsistent(t *testing.T, c *Checkpoint, b *Plan) {
	t.Helper()
	total := 0
	for _, x := range c.Tensors() {
		if len(x.Bytes())*8 != x.Len()*x.DType.bits() {
			t.Fatalf("tensor %q: %d bytes for shape %v of %v", x.Name, len(x.Bytes()), x.Shape, x.DType)
		}
		total += len(x.Bytes())
	}
	file, err := c.File(weightsFile)
	if err == nil && total != len(file)-headerLengthBytes-int(binary.LittleEndian.Uint64(file)) {
		t.Fatalf("tensors have %d bytes, the file %d", total, len(file))
	}
	if b == nil {
		return
	}
	cfg := c.Config()
	if len(b.Layers) != cfg.Layers || !slices.Equal(b.Embeddings.Words.Shape, []int{cfg.VocabSize, cfg.HiddenSize}) ||
		!slices.Equal(b.Head[len(b.Head)-1].Linear.Weight.Shape, []int{len(cfg.Labels), cfg.HiddenSize}) || cfg.HiddenSize%cfg.Heads != 0 {
		t.Fatalf("model does not fit its config %+v", cfg)
	}
}
