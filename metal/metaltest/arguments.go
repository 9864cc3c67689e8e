package metaltest

import (
	"bytes"
	"errors"

	"github.com/metalrank/metalrank/metal"
)

// testArgumentSizes: arguments of all kinds of sizes, up to the limit, arrive whole, and each dispatch of a list gets
// its own.
func testArgumentSizes(t *subtest, r *rig) {
	var sizes []int
	for size := 1; size <= 64; size++ {
		sizes = append(sizes, size)
	}
	for size := 65; size < metal.MaxArgumentSizeBytes; size += 157 {
		sizes = append(sizes, size)
	}
	sizes = append(sizes, metal.MaxArgumentSizeBytes-1, metal.MaxArgumentSizeBytes)

	const room = metal.MaxArgumentSizeBytes + 16 // per dispatch; unwritten bytes must stay 0
	const countStride = 256                      // alignment of a constant buffer's offset on every Mac
	data := pattern(len(sizes) + metal.MaxArgumentSizeBytes)
	to := r.buffer(t, make([]byte, len(sizes)*room))
	counts := r.buffer(t, make([]byte, len(sizes)*countStride))
	pipeline := r.pipeline(t, "echo_arguments")
	encoder := metal.NewEncoder(r.device)
	for i, size := range sizes {
		copy(counts.Bytes()[i*countStride:], pack(countArgs{uint32(size)}))
		if err := encoder.Dispatch(&metal.Dispatch{
			Pipeline: pipeline, Arguments: data[i : i+size],
			Buffers: []metal.Binding{1: metal.At(to, i*room), 2: metal.At(counts, i*countStride)},
			Groups:  metal.Size{X: 1}, Threads: metal.Size{X: 1},
		}); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
	pending, err := encoder.Commit()
	if err != nil {
		t.Fatal(err)
	}
	finish(t, pending)
	for i, size := range sizes {
		got := to.Bytes()[i*room : (i+1)*room]
		if !bytes.Equal(got[:size], data[i:i+size]) {
			t.Errorf("%d bytes of arguments: wrong bytes arrived", size)
		}
		if !bytes.Equal(got[size:], make([]byte, room-size)) {
			t.Errorf("%d bytes of arguments: what is behind the copy has changed", size)
		}
	}
}

// testArgumentIndex: arguments and buffers at the highest indices.
func testArgumentIndex(t *subtest, r *rig) {
	to := r.buffer(t, make([]byte, 4))
	r.run(t, &metal.Dispatch{
		Pipeline: r.pipeline(t, "last_index"), Arguments: pack(uint32(4711)), ArgumentsIndex: metal.MaxBuffers - 1,
		Buffers: []metal.Binding{metal.MaxBuffers - 2: metal.At(to, 0)},
		Groups:  metal.Size{X: 1}, Threads: metal.Size{X: 1},
	})
	if got := word(to.Bytes(), 0); got != 4711 {
		t.Errorf("the argument at index %d is %d, want 4711", metal.MaxBuffers-1, got)
	}
}

func (c constantsResult) constants() []metal.Constant {
	return []metal.Constant{
		metal.Bool(0, c.Flag != 0), metal.Int(1, c.SignedValue), metal.Uint(2, c.UnsignedValue), metal.Float(3, c.RealValue),
	}
}

// testConstants: constants of each type arrive, and two pipelines of one kernel keep theirs apart, even in one list.
func testConstants(t *subtest, r *rig) {
	want := []constantsResult{
		{1, -5, 3_000_000_000, 0.15625},
		{0, 1 << 30, 7, -1e30},
		{0, 0, 0, 0},
	}
	result := pack(want[0])
	to := r.buffer(t, make([]byte, 2*len(want)*len(result)))
	encoder := metal.NewEncoder(r.device)
	for i := range 2 * len(want) { // each pipeline twice, in turn: no set of constants may stick
		if err := encoder.Dispatch(&metal.Dispatch{
			Pipeline: r.pipeline(t, "constants", want[i%len(want)].constants()...),
			Buffers:  []metal.Binding{1: metal.At(to, i*len(result))},
			Groups:   metal.Size{X: 1}, Threads: metal.Size{X: 1},
		}); err != nil {
			t.Fatal(err)
		}
	}
	pending, err := encoder.Commit()
	if err != nil {
		t.Fatal(err)
	}
	finish(t, pending)
	for i := range 2 * len(want) {
		got := unpack[constantsResult](to.Bytes()[i*len(result) : (i+1)*len(result)])
		if got != want[i%len(want)] {
			t.Errorf("dispatch %d: constants %+v, want %+v", i, got, want[i%len(want)])
		}
	}
}

// testOptionalConstant: a kernel may ask whether a constant is set; without asking, an unset one is an error.
func testOptionalConstant(t *subtest, r *rig) {
	to := r.buffer(t, make([]byte, 4))
	for _, test := range []struct {
		constants []metal.Constant
		want      uint32
	}{{nil, 7}, {[]metal.Constant{metal.Uint(4, 11)}, 11}, {nil, 7}} {
		r.run(t, &metal.Dispatch{
			Pipeline: r.pipeline(t, "optional_constant", test.constants...),
			Buffers:  []metal.Binding{1: metal.At(to, 0)}, Groups: metal.Size{X: 1}, Threads: metal.Size{X: 1},
		})
		if got := word(to.Bytes(), 0); got != test.want {
			t.Errorf("constants %v: the kernel sees %d, want %d", test.constants, got, test.want)
		}
	}

	all := constantsResult{}.constants()
	for missing := range all {
		some := append(append([]metal.Constant{}, all[:missing]...), all[missing+1:]...)
		_, err := r.library.Pipeline("constants", some...)
		compile, ok := errors.AsType[*metal.CompileError](err)
		if !ok {
			t.Errorf("constant %d unset: error %v, want a CompileError", missing, err)
		} else if compile.Kernel != "constants" {
			t.Errorf("constant %d unset: the error names kernel %q", missing, compile.Kernel)
		}
	}
}
