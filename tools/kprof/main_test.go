package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/selftest"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// kprof runs the command and returns its standard output.
func kprof(t *testing.T, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	if status := run(t.Context(), args, cli.Streams{Out: &out, Err: &errOut}); status != 0 {
		t.Fatalf("kprof %v: status %d\n%s", args, status, &errOut)
	}
	return out.String()
}

// profileOf profiles a MiniLM of six layers.
func profileOf(t *testing.T, args ...string) *profile {
	t.Helper()
	dir := t.TempDir()
	if err := weightstest.Write(dir, weightstest.MiniLM(6)); err != nil {
		t.Fatal(err)
	}
	var p profile
	if err := json.Unmarshal([]byte(kprof(t, append(args, "--json", "--model="+dir)...)), &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

func (p *profile) row(t *testing.T, layer int, name cost.Name) *row {
	t.Helper()
	for i := range p.Rows {
		if p.Rows[i].Layer == layer && p.Rows[i].Name == string(name) {
			return &p.Rows[i]
		}
	}
	t.Fatalf("no %s in layer %d", name, layer)
	return nil
}

// TestCPU compares a profile of MiniLM (H 384, F 1536) with a count by hand, and the sum of its times with the whole
// pass. Another program can take the cores for a while, so the best of some tries counts.
func TestCPU(t *testing.T) {
	const tokens, sequences, h, f = 4 * 96, 4, 384, 1536
	best := math.Inf(1)
	for range 30 {
		p := profileOf(t, "--backend=cpu", "--precision=int8", "--lengths=4x96", "--rounds=3")
		if p.Tokens != tokens || p.Sequences != sequences {
			t.Fatalf("%d tokens in %d sequences", p.Tokens, p.Sequences)
		}
		for _, want := range []struct {
			layer int
			name  cost.Name
			flops float64
		}{
			{2, cost.QKV, 2 * tokens * 3 * h * h}, {2, cost.Attention, 4 * 4 * 96 * 96 * h}, {2, cost.Output, 2 * tokens * h * f},
			{5, cost.KeysValues, 2 * tokens * 2 * h * h}, {5, cost.Intermediate, 2 * sequences * h * f},
			{cost.NoLayer, cost.Head, 2 * sequences * h * (h + 1)},
		} {
			if r := p.row(t, want.layer, want.name); r.FLOPs != want.flops || r.Executed < r.FLOPs || r.Bytes == 0 {
				t.Errorf("%s in layer %d: %+v, want %g FLOPs", want.name, want.layer, r, want.flops)
			}
		}
		// Weights and inputs have one byte each, or two where the CPU multiplies nothing smaller than 16 bits (AVX2).
		// Every call reads its rows, and the weights once.
		qkv := p.row(t, 2, cost.QKV)
		if want := float64(qkv.Calls)*(3*h*h+4*3*h) + tokens*h; qkv.Bytes < want+2*tokens*3*h || qkv.Bytes > 2*want+4*tokens*3*h {
			t.Errorf("qkv moves %g bytes, want once or twice %g and results of 2 to 4 bytes each", qkv.Bytes, want)
		}
		for _, r := range byKernel(p.Rows) {
			// No bound but 0: another program may have had the cores while peaks or passes were measured.
			if percent := p.Roofline.percent(&r); r.FLOPs > 1e8 && !(percent > 0) {
				t.Errorf("%s is at %.1f %% of the roof: %+v", r.Name, percent, p.Roofline)
			}
		}
		all := total(p.Rows)
		if best = min(best, math.Abs(ratio(all.Time.Seconds(), p.Wall.Seconds())-1)); best <= 0.05 {
			break
		}
	}
	if best > 0.05 {
		t.Errorf("rows add up to within %.1f %% of the pass", 100*best)
	}
}

// TestSim compares the simulator's counters with a count by hand: distinct bytes are the least possible, and matrix
// products are those that the tokens need, where the tokens fill tiles.
func TestSim(t *testing.T) {
	simtest.Open(t, sim.Config{})
	p := profileOf(t, "--backend=sim", "--lengths=2x16")
	const tokens, sequences, h, f = 32, 2, 384, 1536
	for _, want := range []struct {
		layer           int
		name            cost.Name
		executed, bytes float64
	}{
		{0, cost.QKV, 2 * tokens * 3 * h * h, 2*(3*h*h+tokens*h+tokens*3*h) + 4*3*h},
		{3, cost.Intermediate, 2 * tokens * h * f, 2*(f*h+tokens*h+tokens*f) + 4*f},
		{4, cost.Output, 2 * tokens * h * f, 2*(f*h+tokens*f+2*tokens*h) + 4*3*h},
		// Two rows of [CLS] fill a quarter of a tile of eight, and are found by an index.
		{5, cost.Query, 2 * 8 * h * h, 2*(h*h+2*sequences*h) + 4*h + 4*sequences},
	} {
		r := p.row(t, want.layer, want.name)
		if r.Executed != want.executed || r.Counters.uniqueBytes() != want.bytes {
			t.Errorf("%s in layer %d: %g FLOPs executed and %g distinct bytes, want %g and %g",
				want.name, want.layer, r.Executed, r.Counters.uniqueBytes(), want.executed, want.bytes)
		}
		if r.Time != 0 || r.Counters.Dispatches != 1 {
			t.Errorf("%s: time %v in %d dispatches, want none in 1", want.name, r.Time, r.Counters.Dispatches)
		}
	}
	for _, r := range p.Rows {
		if r.Least > 0 && ratio(r.Counters.uniqueBytes(), r.Least) > 1.05 && r.Name != string(cost.Embed) {
			t.Errorf("%s in layer %d moves %g distinct bytes, the least is %g", r.Name, r.Layer, r.Counters.uniqueBytes(), r.Least)
		}
	}
}

// TestDecoderLayers reads a decoder's dispatches in the table of layers: six to each, and eight to the last, where queries are those
// of one token of each sequence.
func TestDecoderLayers(t *testing.T) {
	simtest.Open(t, sim.Config{})
	model := filepath.Join("..", "..", "engine", "testdata", "families", "qwen3")
	text := kprof(t, "--backend=sim", "--lengths=2x9", "--model="+model)
	_, table, _ := strings.Cut(text, "layer  dispatches")
	var got []string
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] != "barriers" {
			got = append(got, fields[0]+": "+fields[1])
		}
	}
	if want := []string{"none: 2", "0: 6", "1: 6", "2: 8", "all: 22"}; !slices.Equal(got, want) {
		t.Errorf("dispatches %v, want %v, in\n%s", got, want, text)
	}
}

// TestBudget runs the kernels in the simulator: no counter may exceed its budget in budget.tsv. If a kernel is meant to
// cost more, `kprof --budget --update` rewrites that file.
func TestBudget(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing in it happens at once")
	}
	simtest.Open(t, sim.Config{})
	r, err := openCases("sim", 1)
	if err != nil {
		t.Fatal(err)
	}
	simtest.CloseLater(t, closer(r.close))
	rows, err := countBudget(t.Context(), r, budgetCases())
	if err != nil {
		t.Fatal(err)
	}
	budget, err := parseBudget(budgetText)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range overruns(rows, budget) {
		t.Error(o)
	}
	if len(budget) != len(rows) {
		t.Errorf("budget.tsv has %d cases, want %d", len(budget), len(rows))
	}
	again, err := parseBudget(formatBudget(rows))
	if err != nil || len(overruns(rows, again)) > 0 {
		t.Errorf("a budget of what was counted: %v, %v", overruns(rows, again), err)
	}
	// A kernel that reads a little more than it may.
	rows[0].Counters.DeviceReadBytes += rows[0].Counters.DeviceReadBytes / 30
	if found := overruns(rows, again); len(found) != 1 || !strings.Contains(found[0], "device_read") {
		t.Errorf("3 %% more bytes read: %v", found)
	}
	for i := range rows { // distinct bytes are the least possible, counted by hand in selftest
		if c := rows[i].Counters; c.uniqueBytes() != rows[i].Least {
			t.Errorf("%s: %g distinct bytes, the least is %g", rows[i].Name, c.uniqueBytes(), rows[i].Least)
		}
	}
}

type closer func() error

func (c closer) Close() error { return c() }

// TestSweep checks that the printed table is Go, and that it has the tile that pads least.
func TestSweep(t *testing.T) {
	simtest.Open(t, sim.Config{})
	defer func(shapes []kernels.Shape, rows []int) { sweptShapes, simulatedRows = shapes, rows }(sweptShapes, simulatedRows)
	sweptShapes, simulatedRows = []kernels.Shape{{N: 128, K: 32}, {Norm: true, N: 96, K: 32}}, []int{8, 64}
	text := kprof(t, "--backend=sim", "--sweep-tiles")
	_, table, ok := strings.Cut(text, "// for kernels/tiles.go\n")
	if !ok {
		t.Fatalf("no table:\n%s", text)
	}
	source := "package kernels\nimport \"math\"\ntype Shape struct{Norm bool; Type DType; Bits, N, K int}\n" +
		"type Choice struct{Shape; Rows int; Variant string}\n" + table
	if _, err := parser.ParseFile(token.NewFileSet(), "tiles.go", source, parser.AllErrors); err != nil {
		t.Errorf("%v:\n%s", err, table)
	}
	for _, want := range []string{
		`"simulator": {`,
		`{Shape{false, F16, 0, 128, 32, false}, 8, "8x32"},`, `{Shape{false, F16, 0, 128, 32, false}, math.MaxInt, "64x32"},`,
		`{Shape{true, F16, 0, 96, 32, false}, 8, "8x48"},`, `{Shape{true, F16, 0, 96, 32, false}, math.MaxInt, "32x32"},`,
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no line %s in\n%s", want, table)
		}
	}
}

// TestTunings checks the lines of a report: the quickest variants, and none for a kernel without variants.
func TestTunings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	report := `{"format": 1, "version": "v1", "drivers": [{"name": "metal", "device": "Apple M2", "times": {"shapes": [
		{"kernel": "gemm", "rows": 8, "n": 1152, "k": 384, "variants": [{"variant": "64x32", "us": 9}, {"variant": "8x32", "us": 5}]},
		{"kernel": "gemm", "rows": 512, "n": 1152, "k": 384, "variants": [{"variant": "64x32", "us": 30}, {"variant": "8x32", "us": 50}]},
		{"kernel": "gemm_norm", "rows": 8, "n": 384, "k": 384, "variants": [{"variant": "32x48", "error": "no"}, {"variant": "8x48", "us": 7}]},
		{"kernel": "attention", "rows": 512, "n": 384, "k": 64, "variants": [{"us": 70}]}]}}]}`
	if err := os.WriteFile(path, []byte(report), 0o600); err != nil {
		t.Fatal(err)
	}
	text := kprof(t, "--tunings="+path)
	want := `	"Apple M2": {
		{Shape{false, F16, 0, 1152, 384, false}, 8, "8x32"},
		{Shape{false, F16, 0, 1152, 384, false}, math.MaxInt, "64x32"},
		{Shape{true, F16, 0, 384, 384, false}, math.MaxInt, "8x48"},
	},
}
`
	if !strings.HasSuffix(text, want) {
		t.Errorf("%s\nwant at its end\n%s", text, want)
	}
}

func TestShapes(t *testing.T) {
	simtest.Open(t, sim.Config{})
	text := kprof(t, "--backend=sim", "--shapes", "--only=norm f16 37x128")
	if strings.Count(text, "\nnorm f16 37x128")+strings.Count(text, " norm f16 37x128") != 2 {
		t.Errorf("want two cases:\n%s", text)
	}
	for _, c := range selftest.Cases() {
		if c.LeastBytes <= 0 {
			t.Errorf("%s moves %d bytes at least", c.Name, c.LeastBytes)
		}
	}
}

// TestRoofline draws both themes: the pictures differ, and have something in them.
func TestRoofline(t *testing.T) {
	folder := t.TempDir()
	stacks := filepath.Join(folder, "stacks")
	kprof(t, "--backend=cpu", "--lengths=2x32", "--rounds=1", "--roofline="+folder, "--folded="+stacks)
	for _, theme := range themes {
		data, err := os.ReadFile(filepath.Join(folder, "roofline-"+theme.name+".png"))
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		r, g, b, _ := picture.At(2, 2).RGBA()
		if got := [3]uint32{r >> 8, g >> 8, b >> 8}; got != [3]uint32{uint32(theme.paper.R), uint32(theme.paper.G), uint32(theme.paper.B)} {
			t.Errorf("%s: the corner is %v, want the paper's %v", theme.name, got, theme.paper)
		}
	}
	page, err := os.ReadFile(filepath.Join(folder, "roofline.html"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(page, []byte("<svg")); n != 2 || !bytes.Contains(page, []byte("prefers-color-scheme: dark")) {
		t.Errorf("the page has %d pictures, want 2, and both themes", n)
	}
	folded, err := os.ReadFile(stacks)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(folded, []byte("\ncpu fp32;layer 3;attention output ")) {
		t.Errorf("stacks:\n%s", folded)
	}
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"--backend=abacus":               "want cpu, sim or metal",
		"--lengths=3x":                   "--lengths",
		"--rounds=0":                     "--rounds is 0",
		"--workers=-1":                   "--workers is -1, want 0 to 1024",
		"--precision=fp16":               `--precision is "fp16", want fp32, bf16 or int8`,
		"--shapes":                       "--backend sim or metal",
		"--backend=sim --roofline=x":     "the simulator has none",
		"--update":                       "--update goes with --budget",
		"--lengths=1x9999":               "the model takes 512",
		"--capture=x":                    "--capture wants --backend metal",
		"--backend=sim --precision=int8": "--precision",
		"more":                           "unexpected argument more",
	} {
		var out, errOut bytes.Buffer
		if status := run(context.Background(), strings.Fields(args), cli.Streams{Out: &out, Err: &errOut}); status == 0 || !strings.Contains(errOut.String(), want) {
			t.Errorf("kprof %s: status %d, %q, want %q", args, status, &errOut, want)
		}
	}
}

func TestParseLengths(t *testing.T) {
	got, err := parseLengths("2x3,4")
	if err != nil || !slices.Equal(got, []int{3, 3, 4}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", "x", "0", "1x0", "-1x4", "9999x1", "1x9999999", "2,,3", fmt.Sprintf("%dx%d", 4096, 4096)} {
		if got, err := parseLengths(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzParseBudget(f *testing.F) {
	f.Add(budgetText)
	f.Add("case\na\t1\t2\n")
	f.Fuzz(func(_ *testing.T, text string) { _, _ = parseBudget(text) })
}
