package engine

import (
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/convert"
)

// Each family can be converted to each layout of weights. fp16 keeps the logits, since the files have it. Integers move them
// by up to 0.08 at int8, 0.43 at int4 and 0.15 at int8 by channel: the tolerances leave some room. Written back as
// floats, they give the same logits once more, so that the layouts say the same.
func TestFamiliesConverted(t *testing.T) {
	notShort(t)
	for _, name := range families {
		t.Run(name, func(t *testing.T) {
			batch, golden := familyBatch(t, name)
			files := familyFiles(t, name)
			var want []float32
			for _, g := range golden {
				for _, v := range g.Logits {
					want = append(want, float32(v))
				}
			}
			for _, c := range []struct {
				name      string
				options   convert.Options
				tolerance float64
			}{
				{"fp16", convert.Options{Float: weights.F16}, logitTolerance},
				{"int8", convert.Options{Bits: 8, GroupSize: 32}, 0.1},
				{"int4", convert.Options{Bits: 4, GroupSize: 32}, 0.8},
				{"w8a8", convert.Options{Bits: 8, Scheme: convert.W8A8, EmbeddingLevels: 127}, 0.2},
			} {
				if c.options.GroupSize > 0 && !groups(t, files) {
					continue
				}
				made := convertFiles(t, files, c.options)
				got := forward(t, made, onReference, batch)
				if worst := farthest(got, want); !(worst <= c.tolerance) {
					t.Errorf("%s: a logit differs by %.2g, allowed is %.2g", c.name, worst, c.tolerance)
				} else {
					t.Logf("%s: largest difference %.2g", c.name, worst)
				}
				back := convertFiles(t, made, convert.Options{Float: weights.F32})
				if worst := farthest(forward(t, back, onReference, batch), got); !(worst <= 1e-6) {
					t.Errorf("%s, then fp32: a logit differs by %.2g", c.name, worst)
				}
			}
		})
	}
}

// groups reports whether any matrix of a model has rows of whole groups of 32, which the MLX layout needs.
func groups(t *testing.T, files map[string][]byte) bool {
	t.Helper()
	c, err := weights.FromMemory("family", files)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return slices.ContainsFunc(c.Tensors(), func(x weights.Tensor) bool {
		return !c.InHead(x) && len(x.Shape) == 2 && x.Shape[1]%32 == 0
	})
}

// farthest returns the largest difference of two lists of logits.
func farthest(a, b []float32) (worst float64) {
	for i := range a {
		if d := math.Abs(float64(a[i] - b[i])); !(d <= worst) { // NaN counts
			worst = d
		}
	}
	return worst
}

// convertFiles converts a model and returns the files of the new folder.
func convertFiles(t *testing.T, files map[string][]byte, o convert.Options) map[string][]byte {
	t.Helper()
	src, err := weights.FromMemory("family", files)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	folder := filepath.Join(t.TempDir(), "made")
	if err := convert.Folder(t.Context(), src, folder, o); err != nil {
		t.Fatal(err)
	}
	return readFolder(t, folder)
}

// readFolder reads all files of a folder, by their paths in it.
func readFolder(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = os.ReadFile(filepath.Join(dir, path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
