package metal_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/metal"
)

// buffers made once: an interface that holds a slice allocates.
var (
	buffer100 metal.Buffer = fakeBuffer(make([]byte, 100))
	buffer1   metal.Buffer = fakeBuffer(make([]byte, 1))
)

func dispatch(arguments ...byte) metal.Dispatch {
	return metal.Dispatch{
		Pipeline: fakePipeline{}, Arguments: arguments, Buffers: []metal.Binding{1: metal.At(buffer100, 0)},
		Groups: metal.Size{X: 3}, Threads: metal.Size{X: 32},
	}
}

func record(t *testing.T, e *metal.Encoder, d *metal.Dispatch) {
	t.Helper()
	if err := e.Dispatch(d); err != nil {
		t.Fatal(err)
	}
}

func commit(t *testing.T, e *metal.Encoder) {
	t.Helper()
	if _, err := e.Commit(); err != nil {
		t.Fatal(err)
	}
}

func TestDispatchIsRecorded(t *testing.T) {
	device := &fakeDevice{}
	e := metal.NewEncoder(device)
	record(t, e, &metal.Dispatch{
		Pipeline: fakePipeline{}, Arguments: []byte{1, 2, 3}, ArgumentsIndex: 2,
		Buffers: []metal.Binding{metal.At(buffer100, 96), {}, {}, metal.At(buffer1, 0)}, ThreadgroupMemory: []int{16, 4096},
		Groups: metal.Size{X: 5, Z: 2}, Threads: metal.Size{X: 8, Y: 4},
	})
	commit(t, e)
	got := device.last().Commands[0]
	want := metal.Command{
		Pipeline: fakePipeline{}, ThreadgroupMemory: [metal.MaxThreadgroupArguments]uint32{16, 4096},
		ArgumentsSize: 3, ArgumentsIndex: 2, Groups: metal.Size{X: 5, Y: 1, Z: 2}, Threads: metal.Size{X: 8, Y: 4, Z: 1},
	}
	if got.Buffers[0].OffsetBytes != 96 || len(got.Buffers[0].Buffer.Bytes()) != 100 || len(got.Buffers[3].Buffer.Bytes()) != 1 {
		t.Errorf("buffers are bound as %v", got.Buffers)
	}
	for _, unset := range []int{1, 2, 4, metal.MaxBuffers - 1} {
		if got.Buffers[unset] != (metal.Binding{}) {
			t.Errorf("buffer %d is bound to %v, want nothing", unset, got.Buffers[unset])
		}
	}
	got.Buffers = want.Buffers
	if got != want {
		t.Errorf("recorded\n%+v, want\n%+v", got, want)
	}
}

// TestArgumentPacking: arguments are copied, each from a multiple of 16 on.
func TestArgumentPacking(t *testing.T) {
	device := &fakeDevice{}
	e := metal.NewEncoder(device)
	sizes := []int{1, 16, 0, 17, 4096, 15, 0, 3}
	for i, size := range sizes {
		arguments := bytes.Repeat([]byte{byte(i + 1)}, size)
		d := dispatch(arguments...)
		record(t, e, &d)
		clear(arguments) // they were copied
		clear(d.Arguments)
	}
	commit(t, e)
	list := device.last()
	var end uint32
	for i, command := range list.Commands {
		if int(command.ArgumentsSize) != sizes[i] {
			t.Errorf("command %d has %d bytes of arguments, want %d", i, command.ArgumentsSize, sizes[i])
		}
		if sizes[i] == 0 {
			continue
		}
		if command.ArgumentsOffset%16 != 0 || command.ArgumentsOffset < end {
			t.Errorf("the arguments of command %d begin at %d, behind others that end at %d", i, command.ArgumentsOffset, end)
		}
		end = command.ArgumentsOffset + command.ArgumentsSize
		if got := list.Arguments[command.ArgumentsOffset:end]; !bytes.Equal(got, bytes.Repeat([]byte{byte(i + 1)}, sizes[i])) {
			t.Errorf("command %d: arguments %v", i, got)
		}
	}
	if int(end) != len(list.Arguments) {
		t.Errorf("the list has %d bytes of arguments, the last ones end at %d", len(list.Arguments), end)
	}
}

// TestBarriers: a barrier marks the next dispatch, once, and means nothing before the first.
func TestBarriers(t *testing.T) {
	device := &fakeDevice{}
	e := metal.NewEncoder(device)
	d := dispatch()
	steps := "|d|dd||d" // '|' is a barrier
	for range 2 {       // a barrier at the end must not reach into the next list
		for _, step := range steps + "|" {
			if step == '|' {
				e.Barrier()
			} else {
				record(t, e, &d)
			}
		}
		commit(t, e)
		var got []bool
		for _, command := range device.last().Commands {
			got = append(got, command.Barrier)
		}
		if want := []bool{false, true, false, true}; !slices.Equal(got, want) {
			t.Errorf("%s: barriers %v, want %v", steps, got, want)
		}
	}
}

// TestBarrierSurvivesError: a barrier before a refused dispatch applies to the next dispatch.
func TestBarrierSurvivesError(t *testing.T) {
	device := &fakeDevice{}
	e := metal.NewEncoder(device)
	good, bad := dispatch(), dispatch()
	bad.Threads.X = 513
	record(t, e, &good)
	e.Barrier()
	if err := e.Dispatch(&bad); err == nil {
		t.Fatal("513 threads of 512: no error")
	}
	record(t, e, &good)
	commit(t, e)
	if commands := device.last().Commands; len(commands) != 2 || !commands[1].Barrier {
		t.Errorf("%d commands, want 2, the second with a barrier", len(commands))
	}
}

func TestDispatchErrors(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(*metal.Dispatch)
		want  string // empty: no error
		limit bool   // a LimitError
	}{
		{"most threads", func(d *metal.Dispatch) { d.Threads = metal.Size{X: 8, Y: 8, Z: 8} }, "", false},
		{"threads", func(d *metal.Dispatch) { d.Threads.X = 513 },
			"metal: k: 513 threads in a threadgroup, the limit is 512", true},
		{"threads in 3-D", func(d *metal.Dispatch) { d.Threads = metal.Size{X: 8, Y: 8, Z: 9} },
			"metal: k: 576 threads in a threadgroup, the limit is 512", true},
		{"overflowing threads", func(d *metal.Dispatch) { d.Threads = metal.Size{X: 1 << 16, Y: 1 << 16} },
			"metal: k: 4294967296 threads in a threadgroup, the limit is 512", true},
		{"most threadgroup memory", func(d *metal.Dispatch) { d.ThreadgroupMemory = []int{28 << 10} }, "", false},
		{"threadgroup memory", func(d *metal.Dispatch) { d.ThreadgroupMemory = []int{16, 28 << 10} },
			"metal: k: 32784 bytes of threadgroup memory, the limit is 32768", true},
		{"odd threadgroup memory", func(d *metal.Dispatch) { d.ThreadgroupMemory = []int{16, 20} },
			"metal: k: threadgroup memory 1 is 20 bytes, want a positive multiple of 16", false},
		{"negative threadgroup memory", func(d *metal.Dispatch) { d.ThreadgroupMemory = []int{-16} },
			"metal: k: threadgroup memory 0 is -16 bytes, want a positive multiple of 16", false},
		{"threadgroup arguments", func(d *metal.Dispatch) { d.ThreadgroupMemory = []int{16, 16, 16, 16, 16} },
			"metal: k: 5 threadgroup arguments, the limit is 4", true},
		{"most arguments", func(d *metal.Dispatch) { d.Arguments = make([]byte, 4096) }, "", false},
		{"arguments", func(d *metal.Dispatch) { d.Arguments = make([]byte, 4097) },
			"metal: k: 4097 bytes of arguments, the limit is 4096", true},
		{"last index", func(d *metal.Dispatch) { d.Arguments, d.ArgumentsIndex = []byte{1}, 15 }, "", false},
		{"arguments' index", func(d *metal.Dispatch) { d.Arguments, d.ArgumentsIndex = []byte{1}, 16 },
			"metal: k: 17 buffers, the limit is 16", true},
		{"buffers", func(d *metal.Dispatch) { d.Buffers = make([]metal.Binding, 17) },
			"metal: k: 17 buffers, the limit is 16", true},
		{"one index twice", func(d *metal.Dispatch) { d.Arguments, d.ArgumentsIndex = []byte{1}, 1 },
			"metal: k: buffer 1 and the arguments have the same index", false},
		{"last byte", func(d *metal.Dispatch) { d.Buffers[1].OffsetBytes = 99 }, "", false},
		{"offset", func(d *metal.Dispatch) { d.Buffers[1].OffsetBytes = 100 },
			"metal: k: 100 bytes into buffer 1, the limit is 99", true},
		{"negative offset", func(d *metal.Dispatch) { d.Buffers[1].OffsetBytes = -4 }, "bytes into buffer 1", true},
		{"no groups", func(d *metal.Dispatch) { d.Groups = metal.Size{} },
			"metal: k: empty grid: 0 groups of 32 threads", false},
		{"no threads", func(d *metal.Dispatch) { d.Threads = metal.Size{Y: 4} },
			"metal: k: empty grid: 3 groups of 0 threads", false},
		{"no pipeline", func(d *metal.Dispatch) { d.Pipeline = nil }, "metal: dispatch without a pipeline", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			device := &fakeDevice{}
			e := metal.NewEncoder(device)
			d := dispatch()
			test.spoil(&d)
			err := e.Dispatch(&d)
			commit(t, e)
			recorded := len(device.last().Commands)
			if test.want == "" {
				if err != nil || recorded != 1 {
					t.Errorf("error %v, %d commands recorded", err, recorded)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			if limit := (*metal.LimitError)(nil); errors.As(err, &limit) != test.limit {
				t.Errorf("%T, want a LimitError: %v", err, test.limit)
			}
			if recorded != 0 {
				t.Error("recorded all the same")
			}
		})
	}
}

// TestCommitEmpties: a list is submitted once, also where the device refuses it.
func TestCommitEmpties(t *testing.T) {
	device := &fakeDevice{err: metal.ErrForeign}
	e := metal.NewEncoder(device)
	d := dispatch(1, 2, 3)
	record(t, e, &d)
	if _, err := e.Commit(); !errors.Is(err, metal.ErrForeign) {
		t.Errorf("error %v, want the device's", err)
	}
	device.err = nil
	commit(t, e)
	if list := device.last(); len(list.Commands) != 0 || len(list.Arguments) != 0 {
		t.Errorf("%d commands and %d bytes of arguments are left", len(list.Commands), len(list.Arguments))
	}
}

// TestNoAllocations: recording and committing as much as before allocates nothing.
func TestNoAllocations(t *testing.T) {
	device := &fakeDevice{discard: true}
	e := metal.NewEncoder(device)
	d := dispatch(make([]byte, 33)...)
	d.ThreadgroupMemory = []int{1024}
	forward := func() {
		for range 60 {
			e.Barrier()
			record(t, e, &d)
		}
		commit(t, e)
	}
	forward()
	if allocations := testing.AllocsPerRun(20, forward); allocations != 0 {
		t.Errorf("60 dispatches allocate %g times", allocations)
	}
}

func TestCount(t *testing.T) {
	for _, test := range []struct {
		size metal.Size
		want uint64
	}{
		{metal.Size{X: 5}, 5}, {metal.Size{X: 5, Z: 3}, 15}, {metal.Size{X: 2, Y: 3, Z: 4}, 24}, {metal.Size{Y: 2}, 0},
		{metal.Size{X: 1 << 20, Y: 1 << 20, Z: 1 << 20}, 1 << 60},
	} {
		if got := test.size.Count(); got != test.want {
			t.Errorf("%v has %d elements, want %d", test.size, got, test.want)
		}
	}
}
