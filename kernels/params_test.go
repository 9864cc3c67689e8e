package kernels

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
)

// TestParams compares sizes and offsets of the structs in params.go with the shader compiler's for params.h.
func TestParams(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	var stores []string
	var names []string
	var want []uint32
	add := func(expression string, value uintptr) {
		stores = append(stores, fmt.Sprintf("    out[%d] = %s;", len(stores), expression))
		names, want = append(names, expression), append(want, uint32(value))
	}
	for _, twin := range []any{embedArgs{}, normArgs{}, gemmArgs{}, headArgs{}, attentionArgs{}, AttentionItem{}} {
		goType := reflect.TypeOf(twin)
		name := strings.ToUpper(goType.Name()[:1]) + goType.Name()[1:]
		add(fmt.Sprintf("sizeof(%s)", name), goType.Size())
		for field := range goType.Fields() {
			metalName := field.Name
			if len(metalName) > 1 { // M, N and K keep their capital
				metalName = strings.ToLower(metalName[:1]) + metalName[1:]
			}
			add(fmt.Sprintf("__builtin_offsetof(%s, %s)", name, metalName), field.Offset)
		}
	}
	text := "#include \"params.h\"\nkernel void offsets(device uint* out [[buffer(0)]]) {\n" + strings.Join(stores, "\n") + "\n}\n"
	header, err := files.ReadFile("params.h")
	if err != nil {
		t.Fatal(err)
	}
	got := runOffsets(t, device, fstest.MapFS{"offsets.metal": {Data: []byte(text)}, "params.h": {Data: header}}, len(want))
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s is %d, the twin in Go has %d", names[i], got[i], want[i])
		}
	}
}

// runOffsets runs the kernel `offsets` of offsets.metal, which writes n words.
func runOffsets(t *testing.T, device metal.Device, files fstest.MapFS, n int) []uint32 {
	t.Helper()
	library := OpenFiles(device, F16, files)
	defer library.Close()
	pipeline, err := library.pipeline("offsets.metal", "offsets")
	if err != nil {
		t.Fatal(err)
	}
	out, err := device.NewBuffer(4 * n)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	encoder := metal.NewEncoder(device)
	if err := encoder.Dispatch(&metal.Dispatch{
		Pipeline: pipeline, Buffers: []metal.Binding{metal.At(out, 0)}, Groups: metal.Size{X: 1}, Threads: metal.Size{X: 1},
	}); err != nil {
		t.Fatal(err)
	}
	pending, err := encoder.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pending.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	words := make([]uint32, n)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(out.Bytes()[4*i:])
	}
	return words
}

// TestChoose checks the rule for the choice of tiles.
func TestChoose(t *testing.T) {
	for _, c := range []struct {
		tiles       []tile
		m, n, cores int
		want        string
	}{
		{gemmTiles, 3424, 1536, 10, "64x32"},
		{gemmTiles, 2048, 384, 80, "32x32"}, // 3 x 32 threadgroups of 64 rows are too few for 80 cores
		{gemmTiles, 65, 1536, 10, "8x32"},   // two tiles of 64 would waste half of their rows, three of 32 a third
		{gemmTiles, 1, 384, 10, "8x32"},
		{gemmNormTiles, 3424, 384, 10, "32x48"},
		{gemmNormTiles, 512, 384, 10, "16x48"},
		{gemmNormTiles, 32, 384, 10, "8x48"},
	} {
		if got := c.tiles[choose(c.tiles, c.m, c.n, c.cores)].name; got != c.want {
			t.Errorf("%d x %d on %d cores: %s, want %s", c.m, c.n, c.cores, got, c.want)
		}
	}
	for name, want := range map[string]int{"Apple M2": 10, "Apple M1 Pro": 20, "Apple M4 Max": 40, "Apple M2 Ultra": 80, "simulator": 10} {
		if got := gpuCores(name); got != want {
			t.Errorf("%s: %d cores, want %d", name, got, want)
		}
	}
}
