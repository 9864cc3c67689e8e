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
	for _, twin := range []any{embedArgs{}, normArgs{}, gemmArgs{}, headArgs{}, poolArgs{}, headNormArgs{}, attentionArgs{}, AttentionItem{}, AttentionPrefix{}} {
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
	pipeline, err := library.pipeline("offsets.metal", "offsets", constants{})
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
