package tune_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/tune"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
)

// product prepares a layer of N x K zeros.
func product(t *testing.T, device metal.Device, n, k int) *kernels.Product {
	t.Helper()
	library := kernels.Open(device, kernels.F16)
	simtest.CloseLater(t, library)
	buffer, err := device.NewBuffer(2*n*k + 4*n)
	if err != nil {
		t.Fatal(err)
	}
	clear(buffer.Bytes())
	for i := 0; i < n*k; i += 3 {
		buffer.Bytes()[2*i+1] = 0x3c // 1.0
	}
	simtest.CloseLater(t, buffer)
	gemm, err := library.NewGemm(kernels.Linear{
		Weights: kernels.Matrix{N: n, K: k, Data: metal.At(buffer, 0)}, Bias: metal.At(buffer, 2*n*k),
	})
	if err != nil {
		t.Fatal(err)
	}
	return gemm.Product
}

// fewRows prepares a layer of 64 x 160 random weights whose runs are of few rows, with kernels of files.
func fewRows(t *testing.T, device metal.Device, d kernels.DType, files fs.FS) *kernels.Product {
	t.Helper()
	const n, k = 64, 160
	library := kernels.OpenFiles(device, d, files)
	simtest.CloseLater(t, library)
	weights, bias := problem.Normal(n*k, 1/math.Sqrt(k), 1), problem.Normal(n, 1, 2)
	data := problem.EncodeHalf(weights)
	if d == kernels.F32 {
		data = problem.EncodeFloat(weights)
	}
	buffer, err := device.NewBuffer(len(data) + 4*n)
	if err != nil {
		t.Fatal(err)
	}
	copy(buffer.Bytes()[copy(buffer.Bytes(), data):], problem.EncodeFloat(bias))
	simtest.CloseLater(t, buffer)
	gemm, err := library.NewGemm(kernels.Linear{
		Weights: kernels.Matrix{N: n, K: k, Data: metal.At(buffer, 0)}, Bias: metal.At(buffer, len(data)),
		Activation: kernels.GELU, Residual: true, FewRows: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return gemm.Product
}

// variants are the names of the variants of a product.
func variants(p *kernels.Product, device metal.Device) []string {
	var names []string
	for _, v := range kernels.Candidates(p.Shape(), device.Info()) {
		names = append(names, v.String())
	}
	return names
}

// reports are those of a list that the simulator has executed.
func reports(pending metal.Pending) []sim.Report { return pending.(*sim.Pending).Reports() }

// madeUp is a clock with a time for each variant.
func madeUp(times map[string]float64, noise func() float64) tune.Clock {
	return func(pending metal.Pending, _ metal.Timing, _ time.Duration) float64 {
		all := reports(pending)
		kernel := all[0].Kernel
		return times[kernel[strings.LastIndex(kernel, "_nt_")+len("_nt_"):]] * float64(len(all)) * noise()
	}
}

func search(device metal.Device, clock tune.Clock) *tune.Search {
	return &tune.Search{Device: device, Budget: time.Hour, Clock: clock, MaxRows: 8}
}

// TestPlanted makes each variant the fastest in turn, under noise with outliers.
func TestPlanted(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	plant(t, device, product(t, device, 64, 32))
	plant(t, device, fewRows(t, device, kernels.F16, kernels.Files()))
	plant(t, device, fewRows(t, device, kernels.F32, kernels.Files()))
}

func plant(t *testing.T, device metal.Device, p *kernels.Product) {
	t.Helper()
	all := variants(p, device)
	usual := p.Variant(8)
	for _, best := range all {
		times := map[string]float64{}
		for i, name := range all {
			times[name] = 1.2 + 0.1*float64(i)
		}
		times[best] = 1
		random := rand.New(rand.NewPCG(1, 2))
		noise := func() float64 {
			if random.IntN(8) == 0 {
				return 4 // another process had the device
			}
			return 1 + 0.05*random.Float64()
		}
		found, err := search(device, madeUp(times, noise)).Products(t.Context(), []*kernels.Product{p})
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != 1 || found[0].Variant != best || found[0].Rows != math.MaxInt || found[0].Default != usual {
			t.Errorf("planted %s: found %+v", best, found)
		}
		if err := p.Choose(tune.Choices(found)); err != nil || p.Variant(8) != best {
			t.Errorf("runs take %s, %v, want %s", p.Variant(8), err, best)
		}
		if err := p.Choose(nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSmallGain wants the default kept where another variant is hardly faster.
func TestSmallGain(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	p := product(t, device, 64, 32)
	usual := p.Variant(8)
	times := map[string]float64{}
	for _, name := range variants(p, device) {
		times[name] = 0.98
	}
	times[usual] = 1
	found, err := search(device, madeUp(times, func() float64 { return 1 })).Products(t.Context(), []*kernels.Product{p})
	if err != nil || len(found) != 1 || found[0].Variant != usual || found[0].Time != 1 {
		t.Errorf("found %+v, %v, want %s in 1 s", found, err, usual)
	}
}

// TestCounted takes the simulator's counts for the clock: with 8 rows, the variant of the fewest rows does least.
func TestCounted(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	p := product(t, device, 256, 64)
	clock := func(pending metal.Pending, _ metal.Timing, _ time.Duration) float64 {
		var sum float64
		for _, r := range reports(pending) {
			sum += float64(r.Counters.MatrixFLOPs())
		}
		return sum
	}
	found, err := search(device, clock).Products(t.Context(), []*kernels.Product{p})
	if err != nil {
		t.Fatal(err)
	}
	if want := float64(2 * 8 * 256 * 64); len(found) != 1 || found[0].Time != want || !strings.HasPrefix(found[0].Variant, "8x") {
		t.Errorf("found %+v, want 8 rows at a time and %v FLOPs", found, want)
	}
}

// altered is a simulator that makes the pipelines of one variant by a function of its own.
type altered struct {
	metal.Device
	variant  string
	pipeline func(l metal.Library, kernel string, constants []metal.Constant) (metal.Pipeline, error)
}

type alteredLibrary struct {
	metal.Library
	by *altered
}

func (d altered) NewLibrary(source metal.Source) (metal.Library, error) {
	library, err := d.Device.NewLibrary(source)
	return alteredLibrary{library, &d}, err
}

func (l alteredLibrary) Pipeline(kernel string, constants ...metal.Constant) (metal.Pipeline, error) {
	if strings.HasSuffix(kernel, l.by.variant) {
		return l.by.pipeline(l.Library, kernel, constants)
	}
	return l.Library.Pipeline(kernel, constants...)
}

// misled adds an activation.
func misled(l metal.Library, kernel string, constants []metal.Constant) (metal.Pipeline, error) {
	return l.Pipeline(kernel, append([]metal.Constant{metal.Uint(0, uint32(kernels.ReLU))}, constants[1:]...)...)
}

// refuse is a compiler that fails.
func refuse(_ metal.Library, kernel string, _ []metal.Constant) (metal.Pipeline, error) {
	return nil, &metal.CompileError{Kernel: kernel, Log: "Compiler encountered an internal error"}
}

// TestRefused: a variant that the device's compiler refuses is left out, and the search goes on.
func TestRefused(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	all := variants(product(t, device, 64, 32), device)
	refused := all[len(all)-1] // not one that runs take without a choice
	p := product(t, altered{device, refused, refuse}, 64, 32)
	times := map[string]float64{}
	for _, name := range all {
		times[name] = 1
	}
	times[all[len(all)-2]] = 0.5
	found, err := search(altered{device, refused, refuse}, madeUp(times, func() float64 { return 1 })).Products(t.Context(), []*kernels.Product{p})
	if err != nil || len(found) != 1 || found[0].Variant != all[len(all)-2] {
		t.Errorf("%s is refused: found %+v, %v, want %s", refused, found, err, all[len(all)-2])
	}
}

// TestWrong wants a variant with other results left out, though it is by far the fastest.
func TestWrong(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	lie(t, device, func(device metal.Device) *kernels.Product { return product(t, device, 64, 32) })
	lie(t, device, func(device metal.Device) *kernels.Product { return fewRows(t, device, kernels.F16, kernels.Files()) })
}

func lie(t *testing.T, device metal.Device, product func(device metal.Device) *kernels.Product) {
	t.Helper()
	for _, wrong := range variants(product(device), device) {
		lying := altered{device, wrong, misled}
		p := product(lying)
		times := map[string]float64{}
		for _, name := range variants(p, device) {
			times[name] = 1
		}
		times[wrong] = 0.1
		found, err := search(lying, madeUp(times, func() float64 { return 1 })).Products(t.Context(), []*kernels.Product{p})
		if err != nil || len(found) != 1 || found[0].Variant == wrong {
			t.Errorf("%s is wrong: found %+v, %v", wrong, found, err)
		}
	}
}

// TestOrders has variants with a split faster for few rows and slower for more. All rows must take the same split.
func TestOrders(t *testing.T) {
	device := simtest.Open(t, sim.Config{Checked: true})
	p := fewRows(t, device, kernels.F16, kernels.Files())
	for _, c := range []struct {
		split8 [3]float64 // times with 8, 32 and 64 rows; all others take 1
		want   string
	}{
		{[3]float64{0.5, 1.2, 1.2}, "8x32_split8"}, {[3]float64{0.9, 0.9, 1.3}, ""}, {[3]float64{1, 1, 0.95}, ""}, {[3]float64{1, 1, 0.5}, "8x32_split8"},
	} {
		clock := func(pending metal.Pending, _ metal.Timing, _ time.Duration) float64 {
			all := reports(pending)
			if !strings.HasSuffix(all[0].Kernel, "_split8") {
				return float64(len(all))
			}
			rows := all[0].Counters.DeviceWrittenUniqueBytes / (2 * 64)
			return c.split8[map[uint64]int{8: 0, 32: 1, 64: 2}[rows]] * float64(len(all))
		}
		s := search(device, clock)
		s.MaxRows = 4096
		found, err := s.Products(t.Context(), []*kernels.Product{p})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Choose(tune.Choices(found)); err != nil {
			t.Errorf("found %+v: %v", found, err)
		}
		for _, m := range []int{1, 8, 9, 32, 64, 1000} {
			if got := p.Variant(m); got != c.want && (c.want != "" || strings.Contains(got, "split")) {
				t.Errorf("split8 takes %v: %d rows take %s, want %q; found %+v", c.split8, m, got, c.want, found)
			}
		}
		if err := p.Choose(nil); err != nil {
			t.Fatal(err)
		}
	}
}

// spoilt are the kernels with a defect in one file.
type spoilt struct {
	fs.FS
	file, old, replacement string
}

func (s spoilt) Open(name string) (fs.File, error) {
	text, err := fs.ReadFile(s.FS, name)
	if name != s.file || err != nil {
		return s.FS.Open(name)
	}
	text = bytes.ReplaceAll(text, []byte(s.old), []byte(s.replacement))
	return fstest.MapFS{name: {Data: text}}.Open(name)
}

// TestRounding puts defects into all variants with a split, which agree then with each other and not with the usual ones. However
// fast they are, they must not be found; without a defect they are, though their bits differ.
func TestRounding(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	clock := func(pending metal.Pending, _ metal.Timing, _ time.Duration) float64 {
		all := reports(pending)
		if strings.Contains(all[0].Kernel, "_split") {
			return float64(len(all))
		}
		return 10 * float64(len(all))
	}
	for name, c := range map[string]struct {
		old, replacement string
		want             bool
	}{
		"right":                        {"", "", true},
		"one term of each sum missing": {"k + 4 < args.K ?", "k + 8 < args.K ?", false},
		"sums in half":                 {"sums += partial[Sums::at(s, block, lane)]", "sums = float2(half2(sums + partial[Sums::at(s, block, lane)]))", false},
		"not a number":                 {"float2 sums = partial", "float2 sums = NAN + partial", false},
	} {
		for _, d := range []kernels.DType{kernels.F16, kernels.F32} {
			if name == "sums in half" && d == kernels.F16 {
				continue // two roundings to half look like one
			}
			p := fewRows(t, device, d, spoilt{kernels.Files(), "split.h", c.old, c.replacement})
			found, err := search(device, clock).Products(t.Context(), []*kernels.Product{p})
			if err != nil || len(found) != 1 || strings.Contains(found[0].Variant, "_split") != c.want {
				t.Errorf("%s, %s: found %+v, %v", name, d, found, err)
			}
		}
	}
}

// TestRows times runs of several lengths, with another best variant for the short ones.
func TestRows(t *testing.T) {
	device := simtest.Open(t, sim.Config{Checked: true})
	p := product(t, device, 64, 32)
	clock := func(pending metal.Pending, _ metal.Timing, _ time.Duration) float64 {
		all := reports(pending)
		short := all[0].Counters.DeviceWrittenUniqueBytes <= 8*64*2
		if short == strings.HasSuffix(all[0].Kernel, "8x32") {
			return float64(len(all))
		}
		return 2 * float64(len(all))
	}
	s := search(device, clock)
	s.MaxRows = 100
	found, err := s.Products(t.Context(), []*kernels.Product{p})
	if err != nil || len(found) < 2 {
		t.Fatalf("found %+v, %v", found, err)
	}
	if err := p.Choose(tune.Choices(found)); err != nil {
		t.Fatal(err)
	}
	for m, want := range map[int]bool{1: true, 8: true, 9: false, 32: false, 100: false, 5000: false} {
		if got := p.Variant(m) == "8x32"; got != want {
			t.Errorf("%d rows take %s; found %+v", m, p.Variant(m), found)
		}
	}
}

// TestBudget wants a search without time left to find the first product, so that later ones find the others, without an error; a
// caller that leaves is one.
func TestBudget(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	products := []*kernels.Product{product(t, device, 64, 32), product(t, device, 64, 64)}
	s := search(device, tune.DeviceClock)
	s.Budget = 0
	for range products {
		found, err := s.Products(t.Context(), products)
		other := func(f tune.Found) bool { return f.Shape != products[0].Shape() }
		if len(found) == 0 || slices.ContainsFunc(found, other) || err != nil {
			t.Errorf("found %+v, %v", found, err)
		}
		slices.Reverse(products)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Budget = time.Hour
	if _, err := s.Products(ctx, products); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	s.Device, s.Budget = failing{device}, 0
	if _, err := s.Products(t.Context(), products); !errors.Is(err, errFailed) {
		t.Errorf("error %v, want the device's", err)
	}
}

// failing is a device whose work fails at once.
type failing struct{ metal.Device }

type failed struct{}

var errFailed = &metal.ExecError{Reason: "timeout"}

func (failing) Submit(*metal.CommandList) (metal.Pending, error) { return failed{}, nil }
func (failed) Wait(context.Context) (metal.Timing, error)        { return metal.Timing{}, errFailed }
