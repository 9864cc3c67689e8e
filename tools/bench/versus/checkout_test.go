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

// TestRoutes runs products and attentions of shapes that take each of MLX's kernels, and compares them with float64.
func TestRoutes(t *testing.T) {
	folder := checkout(t)
	device := simtest.Open(t, sim.Config{Checked: true})
	for _, c := range []struct {
		p    *operation
		want string
	}{
		{newLinear(4, 130, 68), "gemv_wide_float16_nv4_kl32"},
		{newLinear(13, 130, 1028), "gemv_wide_float16_nv5_kl16"},
		{newLinear(1, 130, 768), "gemv_float16_bm4_bn1_sm1_sn32_tm4_tn4_nc0_axpby1"},
		{newLinear(1, 37, 60), "gemv_float16_bm1_bn1_sm8_sn4_tm4_tn4_nc0_axpby1"},
		{newLinear(70, 1, 768), "gemv_float16_bm4_bn1_sm1_sn32_tm4_tn4_nc0_axpby1"},
		{newLinear(5, 1, 768), "gemv_float16_bm1_bn8_sm1_sn32_tm4_tn4_nc0_axpby1"},
		{newLinear(2, 1, 1030), "gemv_float16_bm1_bn8_sm1_sn32_tm1_tn4_nc0_axpby1"},
		{newLinear(17, 64, 256), "steel_gemm_splitk_nt_float16_float32_bm16_bn32_bk16_wm2_wn2_MN_naligned_K_taligned, " +
			"steel_gemm_splitk_accum_float16_float32_axbpy"},
		{newAttention(2, 33, 2, 64), "steel_attention_float16_bq32_bk32_bd64_wm4_wn1_maskfloat16"},
		{newAttention(1, 64, 1, 128), "steel_attention_float16_bq32_bk16_bd128_wm4_wn1_maskfloat16"},
	} {
		e, err := mlxKernels{device, os.DirFS(folder), mlx.GPUs[0]}.solve(c.p)
		if err == nil {
			_, err = c.p.verify(e.output)
		}
		if err != nil || e.kernels != c.want {
			t.Errorf("%s: %q, %v, want %q", c.p.name, e.kernels, err, c.want)
		}
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
