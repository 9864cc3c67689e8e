package builtin

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func TestOpen(t *testing.T) {
	c, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := c.Plan()
	if err != nil {
		t.Fatal(err)
	}
	cfg := c.Config()
	if c.Name() != Name || len(b.Layers) != 12 || cfg.HiddenSize != 384 || len(cfg.Labels) != 1 {
		t.Errorf("name %q, %d layers, config %+v", c.Name(), len(b.Layers), cfg)
	}
	all, err := c.Weights()
	if err != nil {
		t.Fatal(err)
	}
	parameters, codes := 0, 0
	for _, x := range all {
		parameters += x.Len()
		if x.Channel != nil {
			codes += x.Len()
		}
	}
	if parameters != 33_360_385 || codes < parameters*99/100 { // 33.4 M, as the model card has it
		t.Errorf("%d parameters, %d of them in int8", parameters, codes)
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"} {
		if data, err := c.File(name); err != nil || len(data) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
	card, err := c.Card()
	if err != nil || card.License != "apache-2.0" || len(card.BaseModel) != 1 || card.Languages[0] != "en" ||
		card.BaseModel[0] != "cross-encoder/ms-marco-MiniLM-L-12-v2" || card.PipelineTag != "text-ranking" {
		t.Errorf("card %+v, %v", card, err)
	}
}

// TestZstd: the concatenated frames are a regular .zst file, for any other tool.
func TestZstd(t *testing.T) {
	dec, err := zstd.NewReader(bytes.NewReader(modelSafetensorsZst))
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	n, err := io.Copy(io.Discard, dec)
	if want := table[len(table)-1].sizeBytes; err != nil || n != int64(want) {
		t.Errorf("%d bytes, %v, want %d", n, err, want)
	}
}

// TestTableMatchesCard: the model card states hash and size of the weights; they must be those of the table.
func TestTableMatchesCard(t *testing.T) {
	if f := table[len(table)-1]; !strings.Contains(string(readme), f.sha256) || !strings.Contains(string(readme), thousands(f.sizeBytes)+" bytes") {
		t.Errorf("the model card does not mention %s of %d bytes", f.sha256, f.sizeBytes)
	}
}

// thousands writes a number as 12,345,678.
func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// TestTampered changes the stored file, or the table, and expects an error that names the file.
func TestTampered(t *testing.T) {
	plain := bytes.Repeat([]byte("metalrank "), frameBytes/8) // two frames, the last one short
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	var packed []byte
	var frames []int
	for rest := plain; len(rest) > 0; rest = rest[min(frameBytes, len(rest)):] {
		frame := enc.EncodeAll(rest[:min(frameBytes, len(rest))], nil)
		packed, frames = append(packed, frame...), append(frames, len(frame))
	}
	bomb := enc.EncodeAll(make([]byte, 64<<20), nil)
	good := file{
		name: "model.safetensors", sizeBytes: len(plain), frames: frames,
		sha256: fmt.Sprintf("%x", sha256.Sum256(plain)),
	}
	vary := func(f func(*file)) file { g := good; f(&g); return g }
	flip := bytes.Clone(packed)
	flip[len(flip)/2] ^= 1
	for _, c := range []struct {
		f    file
		data []byte
		want string
	}{
		{good, packed, "weights: ms-marco-MiniLM-L12-v2: no config.json"}, // past the check
		{vary(func(f *file) { f.sha256 = "00" }), packed, "builtin: model.safetensors: 1310720 bytes with sha256 " + good.sha256},
		{good, flip, "builtin: model.safetensors: "},
		{good, packed[:len(packed)-1], "builtin: model.safetensors: compressed data end in frame 1 of 2"},
		{good, append(bytes.Clone(packed), 0), "builtin: model.safetensors: 1 bytes after the last frame"},
		{vary(func(f *file) { f.frames = frames[:1] }), packed, "builtin: model.safetensors: 1 frames, want 2 for 1310720 bytes"},
		{vary(func(f *file) { f.frames = []int{frames[0] + 1, frames[1] - 1} }), packed, "builtin: model.safetensors: frame 0 of 2: "},
		{vary(func(f *file) { f.frames = []int{-1, 0} }), packed, "builtin: model.safetensors: compressed data end in frame 0 of 2"},
		{vary(func(f *file) { f.sizeBytes-- }), packed, "builtin: model.safetensors: frame 1 of 2: "},
		{vary(func(f *file) { f.sizeBytes++ }), packed, "builtin: model.safetensors: frame 1 of 2: 262144 bytes, want 262145"},
		{vary(func(f *file) { f.sizeBytes, f.frames = 10, []int{len(bomb)} }), bomb, "builtin: model.safetensors: frame 0 of 1: "},
		{vary(func(f *file) { f.frames = nil }), plain[:9], "builtin: model.safetensors: 9 bytes with sha256 "},
	} {
		_, err := open([]file{c.f}, map[string][]byte{"model.safetensors": c.data}, nil)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	b.SetBytes(int64(table[len(table)-1].sizeBytes))
	b.ReportAllocs()
	for b.Loop() {
		c, err := Open()
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
