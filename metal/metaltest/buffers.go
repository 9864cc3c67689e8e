package metaltest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/metalrank/metalrank/metal"
)

// minAlignment is the alignment that the widest type of the shaders, float4, needs.
const minAlignment = 16

// incremented is data with 1 added to each byte.
func incremented(data []byte) []byte {
	result := bytes.Clone(data)
	for i := range result {
		result[i]++
	}
	return result
}

// increment adds 1 to n bytes of a binding.
func (r *rig) increment(tb testing.TB, to metal.Binding, n int) *metal.Dispatch {
	tb.Helper()
	groups, threads := line(n, 256)
	return &metal.Dispatch{
		Pipeline: r.pipeline(tb, "increment"), Arguments: pack(countArgs{uint32(n)}),
		Buffers: []metal.Binding{1: to}, Groups: groups, Threads: threads,
	}
}

// copy copies n bytes from one binding to another.
func (r *rig) copy(tb testing.TB, to, from metal.Binding, n int) *metal.Dispatch {
	tb.Helper()
	groups, threads := line(n, 256)
	return &metal.Dispatch{
		Pipeline: r.pipeline(tb, "copy"), Arguments: pack(countArgs{uint32(n)}),
		Buffers: []metal.Binding{1: to, 2: from}, Groups: groups, Threads: threads,
	}
}

// testBufferSizes: buffers of all kinds of sizes are as long as asked, aligned, shared with the device, and stay put.
func testBufferSizes(t *subtest, r *rig) {
	page := r.device.Info().PageSizeBytes
	for _, size := range []int{1, 2, 3, 4, 15, 16, 17, 4095, 4097, page - 1, page, page + 1, 3*page + 5, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			data := pattern(size)
			buffer := r.buffer(t, data)
			before := buffer.Bytes()
			if len(before) != size || cap(before) != size {
				t.Fatalf("the buffer's length is %d, its capacity %d, want %d", len(before), cap(before), size)
			}
			if address(before)%minAlignment != 0 {
				t.Errorf("the buffer is at %#x, want a multiple of %d", address(before), minAlignment)
			}
			r.run(t, r.increment(t, metal.At(buffer, 0), size))
			after := buffer.Bytes()
			if address(before) != address(after) {
				t.Errorf("the buffer was at %#x, and is at %#x", address(before), address(after))
			}
			if !bytes.Equal(after, incremented(data)) {
				t.Error("the device did not add 1 to each byte")
			}
		})
	}
}

// testBufferLimits: sizes that no device has are errors.
func testBufferLimits(t *subtest, r *rig) {
	most := r.device.Info().MaxBufferSizeBytes
	for _, size := range []int{most + 1, math.MaxInt} {
		if most == math.MaxInt {
			t.Fatal("MaxBufferSizeBytes is no limit at all")
		}
		buffer, err := r.device.NewBuffer(size)
		var limit *metal.LimitError
		if !errors.As(err, &limit) {
			t.Errorf("buffer of %d bytes: error %v, want a LimitError", size, err)
			continue
		}
		if buffer != nil {
			t.Errorf("buffer of %d bytes: a buffer besides the error", size)
		}
		if limit.Got != uint64(size) || limit.Limit != uint64(most) {
			t.Errorf("buffer of %d bytes: %q, want limit %d", size, err, most)
		}
	}
	for _, size := range []int{0, -1, math.MinInt} {
		if _, err := r.device.NewBuffer(size); err == nil {
			t.Errorf("buffer of %d bytes: no error", size)
		}
	}
}

// alignedPages returns n pages of ordinary memory that begin at a page.
func alignedPages(n, pageSize int) []byte {
	memory := make([]byte, (n+1)*pageSize)
	skip := (pageSize - int(address(memory)%uintptr(pageSize))) % pageSize
	return memory[skip : skip+n*pageSize : skip+n*pageSize]
}

// testNoCopy: the device reads the caller's own memory, and only whole pages of it.
func testNoCopy(t *subtest, r *rig) {
	page := r.device.Info().PageSizeBytes
	memory := alignedPages(3, page)
	copy(memory, pattern(len(memory)))
	buffer, err := r.device.NewBufferNoCopy(memory)
	if err != nil {
		t.Fatal(err)
	}
	if got := buffer.Bytes(); address(got) != address(memory) || len(got) != len(memory) {
		t.Errorf("%d bytes at %#x, want %d at %#x", len(got), address(got), len(memory), address(memory))
	}
	to := r.buffer(t, make([]byte, len(memory)))
	r.run(t, r.copy(t, metal.At(to, 0), metal.At(buffer, 0), len(memory)))
	if !bytes.Equal(to.Bytes(), memory) {
		t.Error("the device did not read the caller's memory")
	}
	memory[page] ^= 0xFF // no copy: a later change shows
	r.run(t, r.copy(t, metal.At(to, 0), metal.At(buffer, page), page))
	if to.Bytes()[0] != memory[page] {
		t.Error("the device read a copy of the caller's memory")
	}
	closed(t, "buffer", buffer.Close())
	if !bytes.Equal(memory[2*page:], pattern(len(memory))[2*page:]) {
		t.Error("Close changed the caller's memory")
	}

	for _, bad := range [][]byte{memory[1:], memory[:page+1], memory[16 : 16+page], memory[:page/2]} {
		if _, err := r.device.NewBufferNoCopy(bad); !errors.Is(err, metal.ErrUnaligned) {
			t.Errorf("%d bytes at %#x: error %v, want ErrUnaligned", len(bad), address(bad), err)
		}
	}
	if _, err := r.device.NewBufferNoCopy(nil); err == nil {
		t.Error("no memory at all: no error")
	}
}

// testOffsets: a binding begins at its offset; bytes before it and behind the work don't change.
func testOffsets(t *subtest, r *rig) {
	page := r.device.Info().PageSizeBytes
	data := pattern(2*page + 3)
	for _, offset := range []int{0, 4, 16, 36, 256, page - 4, page, page + 4, 2*page + 2} {
		t.Run(fmt.Sprint(offset), func(t *testing.T) {
			n := min(100, len(data)-offset)
			to, from := r.buffer(t, data), r.buffer(t, data)
			want := bytes.Clone(data)
			for i := range n {
				want[offset+i] = data[len(data)-n+i] + 1
			}
			r.run(t,
				r.copy(t, metal.At(to, offset), metal.At(from, len(data)-n), n),
				r.increment(t, metal.At(to, offset), n))
			if !bytes.Equal(to.Bytes(), want) {
				t.Errorf("%d bytes from %d on: wrong bytes, or bytes outside them changed", n, offset)
			}
			if !bytes.Equal(from.Bytes(), data) {
				t.Error("the buffer that was read has changed")
			}
		})
	}
}
