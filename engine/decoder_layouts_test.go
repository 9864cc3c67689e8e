package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/convert"
)

// Decoders that MLX quantised, and those in GGUF files as llama.cpp converts them, with its two rows of the head and without,
// have transformers' logits with the weights that MLX and llama.cpp's package dequantise; so have the folders that they are
// converted to. See tools/model/golden/decoder_layouts.py.
func TestDecoderLayouts(t *testing.T) {
	for folder, name := range map[string]string{"mlx_qwen3": "qwen3", "gguf/qwen3": "qwen3", "gguf/qwen2": "qwen2"} {
		t.Run(folder, func(t *testing.T) {
			files := familyFiles(t, name)
			delete(files, "model.safetensors")
			entries, err := os.ReadDir(filepath.Join("testdata", folder))
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				if files[entry.Name()], err = os.ReadFile(filepath.Join("testdata", folder, entry.Name())); err != nil {
					t.Fatal(err)
				}
			}
			var golden []decoderPair
			readGolden(t, filepath.Join(folder, "golden.json"), &golden)
			batch, want := &backend.Batch{}, []float32{}
			for _, g := range golden[:4] {
				appendTo(batch, -1, g.IDs)
				want = append(want, float32(g.Logits[0]))
			}
			for _, b := range decoderBackends {
				if b.tolerance > logitTolerance {
					continue // its own rounding says nothing of a layout
				}
				if worst := farthest(forward(t, files, b.open(t), batch), want); !(worst <= b.tolerance) {
					t.Errorf("%s: a logit differs by %.2g, allowed is %.2g", b.name, worst, b.tolerance)
				}
			}
			made := convertFiles(t, files, convert.Options{Float: weights.F32})
			if worst := farthest(forward(t, made, onReference, batch), want); !(worst <= logitTolerance) {
				t.Errorf("converted, a logit differs by %.2g", worst)
			}
		})
	}
}

// A language model whose name says how it scores keeps that in another folder.
func TestNamedTokensConverted(t *testing.T) {
	golden, files := decoderGoldens(t, "qwen3")
	for _, name := range []string{"modules.json", "config_sentence_transformers.json", "1_LogitScore/config.json", "sentence_bert_config.json"} {
		delete(files, name)
	}
	src, err := weights.FromMemory("Qwen3-Reranker-0.6B", files)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	folder := filepath.Join(t.TempDir(), "made")
	if err := convert.Folder(t.Context(), src, folder, convert.Options{Float: weights.F32}); err != nil {
		t.Fatal(err)
	}
	batch := &backend.Batch{}
	appendTo(batch, -1, golden[0].IDs)
	got := forward(t, readFolder(t, folder), onReference, batch)
	if worst := farthest(got, []float32{float32(golden[0].Logits[0])}); !(worst <= logitTolerance) {
		t.Errorf("logit %v, want %v", got, golden[0].Logits)
	}
}
