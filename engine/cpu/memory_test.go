package cpu

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/convert"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// maxScratchBytes is the memory that a backend may take up besides its weights: while it loads, and with 16,384 tokens in a
// batch.
const maxScratchBytes = 64 << 20

// status reads a field of /proc/self/status, in bytes.
func status(t *testing.T, field string) int {
	t.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var kb int
		if _, err := fmt.Sscanf(line, field+": %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	t.Fatalf("no %s in /proc/self/status", field)
	return 0
}

// The embedded model, its layers in groups of four bits as MLX has them: at no time is there a copy of it in floats besides
// the backend's own. A large batch runs through fewer layers, but through so many that memory for each would show.
func TestResidentMemory(t *testing.T) {
	if runtime.GOOS != "linux" || testing.Short() { // under the race detector, memory is another matter
		t.Skip("reads /proc")
	}
	source, err := builtin.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	int4, shallow := filepath.Join(t.TempDir(), "int4"), filepath.Join(t.TempDir(), "shallow")
	if err := convert.Folder(t.Context(), source, int4, convert.Options{Bits: 4}); err != nil {
		t.Fatal(err)
	}
	if err := weightstest.Write(shallow, weightstest.MiniLM(4)); err != nil {
		t.Fatal(err)
	}
	for _, precision := range []Precision{FP32, Int8} {
		grows(t, int4, precision, 512)
		grows(t, shallow, precision, slices.Repeat([]int{512, 128, 256}, 16384/896)...)
	}
}

// grows opens a model and runs a batch of sequences with these lengths: memory may grow by the weights and the scratch.
func grows(t *testing.T, dir string, precision Precision, lengths ...int) {
	t.Helper()
	t.Run(fmt.Sprintf("%s, %s", filepath.Base(dir), precision), func(t *testing.T) {
		c, err := weights.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		batch := modelOf(c.Config()).Batch(lengths...)
		out := make([]float32, batch.Sequences())
		debug.FreeOSMemory()
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // the peak begins anew
			t.Skip(err)
		}
		before := status(t, "VmRSS")
		b := open(t, c, Options{Precision: precision, Workers: 2})
		if err := b.Forward(t.Context(), batch, out); err != nil {
			t.Fatal(err)
		}
		grown, weightBytes := status(t, "VmHWM")-before, int(b.Info().WeightBytes)
		t.Logf("resident at most %.1f MB more than before, of which weights are %.1f MB", float64(grown)/1e6, float64(weightBytes)/1e6)
		if allowed := weightBytes + maxScratchBytes; grown > allowed {
			t.Errorf("%d bytes more are resident at the peak, want at most %d", grown, allowed)
		}
	})
}
