//go:build cgo

package darwin

import (
	"reflect"
	"runtime/cgo"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/darwin/shimtest"
)

// walked is a native. Its submit calls into C, which reads the list.
type walked struct {
	*fakeMetal
	sum uint64
}

func (w *walked) submit(commands []command, arguments []byte, list cgo.Handle) error {
	w.sum = shimtest.Walk(unsafe.Pointer(unsafe.SliceData(commands)), len(commands), arguments, nil)
	return w.fakeMetal.submit(commands, arguments, list)
}

// TestCommandsReadTheSameInC writes a different number to every field in Go; C must read the same numbers, in the order
// of shim.h.
func TestCommandsReadTheSameInC(t *testing.T) {
	commands := make([]command, 3)
	var next uint64
	for i := range commands {
		number(reflect.ValueOf(&commands[i]).Elem(), &next)
	}
	want := make([]uint64, next)
	for i := range want {
		want[i] = uint64(i + 1)
	}
	got := make([]uint64, len(commands)*shimtest.FieldsPerCommand)
	for i := range commands { // size 0, so that C reads no arguments
		commands[i].argumentsSize = 0
		want[i*shimtest.FieldsPerCommand+argumentsSizeAt] = 0
	}
	shimtest.Walk(unsafe.Pointer(&commands[0]), len(commands), nil, got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-Go +C):\n%s", diff)
	}
	cCommand, cBinding := shimtest.Sizes()
	if unsafe.Sizeof(command{}) != cCommand || unsafe.Sizeof(binding{}) != cBinding {
		t.Errorf("Go's structs have %d and %d bytes, C's %d and %d",
			unsafe.Sizeof(command{}), unsafe.Sizeof(binding{}), cCommand, cBinding)
	}
}

// argumentsSizeAt is the place of arguments_size among the fields of an mr_command.
const argumentsSizeAt = 1 + 2*metal.MaxBuffers + metal.MaxThreadgroupArguments + 1

// number sets all integers in v to consecutive numbers, in order. The fields aren't exported, so it writes to their
// addresses.
func number(v reflect.Value, next *uint64) {
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			number(field, next)
		}
	case reflect.Array:
		for i := range v.Len() {
			number(v.Index(i), next)
		}
	default:
		*next++
		reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Elem().SetUint(*next)
	}
}

func TestSubmitCrossesOnceWithoutAllocating(t *testing.T) {
	w := &walked{fakeMetal: newFake(t)}
	d := w.open("")
	d.native = w
	list := forwardPassList(t, d)
	w.atOnce = true
	allocations := testing.AllocsPerRun(100, func() {
		if _, err := d.Submit(list); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 {
		t.Errorf("a list of %d dispatches allocates %v times on its way into C, want 0", forwardPass, allocations)
	}
	if w.sum == 0 {
		t.Error("C has read nothing")
	}
}

// BenchmarkSubmitCrossing is BenchmarkSubmit with a crossing into C that reads the list. No Metal is in it either.
func BenchmarkSubmitCrossing(b *testing.B) {
	w := &walked{fakeMetal: newFake(b)}
	d := w.open("")
	d.native = w
	list := forwardPassList(b, d)
	w.atOnce = true
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Submit(list); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCrossing is the call into C alone.
func BenchmarkCrossing(b *testing.B) {
	commands, arguments := make([]command, forwardPass), make([]byte, 64)
	for b.Loop() {
		shimtest.Walk(unsafe.Pointer(&commands[0]), len(commands), arguments, nil)
	}
}
