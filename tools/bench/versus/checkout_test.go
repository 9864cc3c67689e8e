package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
	"github.com/metalrank/metalrank/tools/bench/versus/mlx"
)

// checkout is the folder that $METALRANK_MLX names: these tests run MLX's kernels, which are not here.
func checkout(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("METALRANK_MLX")
	if folder == "" {
		t.Skip("METALRANK_MLX names no checkout of ml-explore/mlx")
	}
	return folder
}

// TestCheckout runs one problem of MLX's: 2,048 rows of 384 halves read once, and gamma and beta for each.
func TestCheckout(t *testing.T) {
	var out, errOut bytes.Buffer
	if status := run(t.Context(), []string{"--mlx", checkout(t), "--only", "layer norm"}, cli.Streams{Out: &out, Err: &errOut}); status != 0 || !strings.Contains(out.String(), "| 4,718,592 |") {
		t.Errorf("status %d, %q\n%s", status, errOut.String(), out.String())
	}
}

// TestForwardIsLinear runs three sequences, and wants the counts that forward extrapolates from one and two.
func TestForwardIsLinear(t *testing.T) {
	folder := checkout(t)
	device := simtest.Open(t, sim.Config{Checked: true})
	const length = 192 // one sequence then has enough elements for MLX's kernels for many
	m := mlxKernels{device, os.DirFS(folder), mlx.GPUs[0]}
	for name, part := range map[string]func(*mlx.Runner, *operation, int, int) error{"embedding": embedPart, "layer": layerPart} {
		var counts [3]sim.Counters
		for i := range counts {
			reports, err := m.part(part, mixed(), i+1, length, 32*length)
			if err != nil {
				t.Fatal(err)
			}
			counts[i] = total(reports)
			counts[i].Threadgroups = 0 // of dispatch_threads they depend on how the grid divides
		}
		if got := extrapolate(counts[0], counts[1], 3); got != counts[2] {
			t.Errorf("%s: from one and two sequences %+v, three are %+v", name, got, counts[2])
		}
	}
}

// TestNotACheckout wants an error that names the problem where --mlx is another folder.
func TestNotACheckout(t *testing.T) {
	simtest.Open(t, sim.Config{Checked: true}) // or skip
	var out, errOut bytes.Buffer
	if status := run(t.Context(), []string{"--mlx", t.TempDir(), "--only", "layer norm"}, cli.Streams{Out: &out, Err: &errOut}); status != 1 ||
		!strings.Contains(errOut.String(), "not a checkout of ml-explore/mlx") {
		t.Errorf("status %d, %q", status, errOut.String())
	}
}
