package darwin

import (
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"unsafe"

	"github.com/metalrank/metalrank/metal"
)

// misalignment returns the number of bytes from data's first byte to the first byte of a page.
func misalignment(data []byte) int {
	return int(-uintptr(unsafe.Pointer(&data[0])) % fakePage)
}

func TestBufferIsNativesMemory(t *testing.T) {
	b := newBench(t)
	for _, size := range []int{1, 15, 16, fakePage - 1, fakePage, fakePage + 1, 1 << 20} {
		buffer := newBuffer(t, b.device, size)
		memory := (*fakeObject)(buffer.object.Ptr()).memory
		if got := buffer.Bytes(); len(got) != size || &got[0] != &memory[0] {
			t.Errorf("%d bytes: Bytes is %d at %p, want those at %p", size, len(got), &got[0], &memory[0])
		}
	}
}

func TestBufferErrors(t *testing.T) {
	b := newBench(t)
	var limit *metal.LimitError
	if _, err := b.device.NewBuffer(1<<20 + 1); !errors.As(err, &limit) || limit.Got != 1<<20+1 || limit.Limit != 1<<20 {
		t.Errorf("NewBuffer over the limit: %v, want a LimitError", err)
	}
	if _, err := b.device.NewBufferNoCopy(pages(1<<20/fakePage + 1)); !errors.As(err, &limit) {
		t.Errorf("NewBufferNoCopy over the limit: %v, want a LimitError", err)
	}
	for _, size := range []int{0, -1} {
		if _, err := b.device.NewBuffer(size); err == nil {
			t.Errorf("NewBuffer(%d) succeeded", size)
		}
	}
	data := pages(2)
	for name, bad := range map[string][]byte{
		"address": data[1 : 1+fakePage], "length": data[:fakePage+1], "short": data[:1], "empty": data[:0], "nil": nil,
	} {
		if _, err := b.device.NewBufferNoCopy(bad); !errors.Is(err, metal.ErrUnaligned) {
			t.Errorf("%s: %v, want %v", name, err, metal.ErrUnaligned)
		}
	}
	if n := b.metal.count("newBufferNoCopy"); n != 0 {
		t.Errorf("Metal was asked %d times for what can't be", n)
	}
}

func TestBufferThatMetalRefuses(t *testing.T) {
	b := newBench(t)
	b.metal.refuse["contents"] = errors.New("nil")
	if buffer, err := b.device.NewBuffer(1); err == nil || buffer != nil {
		t.Errorf("NewBuffer without contents: %v, %v; want nil and an error", buffer, err)
	}
	why := &nativeError{text: "NSInvalidArgumentException: too long"}
	b.metal.refuse["newBuffer"], b.metal.refuse["newBufferNoCopy"] = why, why
	if buffer, err := b.device.NewBuffer(1); !errors.Is(err, why) || buffer != nil {
		t.Errorf("NewBuffer: %v, %v; want nil and %v", buffer, err, why)
	}
	if buffer, err := b.device.NewBufferNoCopy(pages(1)); !errors.Is(err, why) || buffer != nil {
		t.Errorf("NewBufferNoCopy: %v, %v; want nil and %v", buffer, err, why)
	}
	runtime.GC() // which panics when it finds memory that is still pinned
	runtime.GC()
}

func TestNoCopyIsTheCallersMemory(t *testing.T) {
	b := newBench(t)
	data := pages(3)
	buffer := must[metal.Buffer](t)(b.device.NewBufferNoCopy(data))
	defer buffer.Close()
	if got := buffer.Bytes(); &got[0] != &data[0] || len(got) != len(data) {
		t.Errorf("Bytes is %d at %p, want %d at %p", len(got), &got[0], len(data), &data[0])
	}
}

func TestCloseIsIdempotent(t *testing.T) {
	b := newBench(t)
	l := must[metal.Library](t)(b.device.NewLibrary(metal.Source{Text: "text"}))
	noCopy := must[metal.Buffer](t)(b.device.NewBufferNoCopy(pages(1)))
	for range 3 {
		for _, c := range []interface{ Close() error }{b.buffer, noCopy, l, b.pipeline} {
			if err := c.Close(); err != nil {
				t.Errorf("%T: %v", c, err)
			}
		}
	}
	if got := b.buffer.Bytes(); got != nil {
		t.Errorf("Bytes after Close has %d bytes, want none", len(got))
	}
}

func TestCloseWhileBusyReleasesAfterTheLastList(t *testing.T) {
	b := newBench(t)
	for range 2 {
		must[metal.Pending](t)(b.device.Submit(b.list(3)))
	}
	closeNow(t, b.buffer)
	closeNow(t, b.pipeline)
	for ended := range 2 {
		if n := b.metal.releases(b.buffer.object) + b.metal.releases(b.pipeline.object); n != 0 {
			t.Errorf("after %d of 2 lists: released %d times, want 0", ended, n)
		}
		b.metal.endList(0, nil, 1, 2)
	}
	if b.metal.releases(b.buffer.object) != 1 || b.metal.releases(b.pipeline.object) != 1 {
		t.Error("not released once after the last list")
	}
}

func TestCloseOfBorrowedMemoryWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		buffer := must[metal.Buffer](t)(b.device.NewBufferNoCopy(pages(1)))
		must[metal.Pending](t)(b.device.Submit(listOf(1, b.pipeline, buffer)))
		first, second := closeInBackground(t, buffer), closeInBackground(t, buffer)
		synctest.Wait()
		for _, done := range []<-chan struct{}{first, second} {
			select {
			case <-done:
				t.Error("Close returned while a list uses the memory")
			default:
			}
		}
		b.metal.endAll()
		<-first
		<-second
	})
}
