package sim

// #include "native.h"
import "C"

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/metalrank/metalrank/metal"
)

// maxBufferSizeBytes is the limit of one buffer: as much as on the smallest Apple GPU with 16 GB.
const maxBufferSizeBytes = 8 << 30

// span is a range of addresses.
type span struct{ start, end uint64 }

// guardBytes is the size of the unmapped gap behind every buffer: an overrun, even a far one by a wrong stride, is a
// fault, and does not land in another buffer. There is enough reserved address space.
const guardBytes = 1 << 20

// arena hands out page-aligned ranges of a reserved region, with guardBytes between any two.
type arena struct {
	page uint64

	mu        sync.Mutex
	available []span // guarded by mu; sorted, never adjacent
}

func newArena(start, size uint64) *arena {
	page := uint64(os.Getpagesize())
	return &arena{page: page, available: []span{{start + guardBytes, start + size}}}
}

// alloc finds room for size bytes and the guard behind them, first fit. False: there is none.
func (a *arena) alloc(size uint64) (span, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	pages := (size + a.page - 1) / a.page * a.page
	i := slices.IndexFunc(a.available, func(s span) bool { return s.end-s.start >= pages+guardBytes })
	if i < 0 {
		return span{}, false
	}
	taken := span{a.available[i].start, a.available[i].start + pages}
	a.available[i].start = taken.end + guardBytes
	if a.available[i].start == a.available[i].end {
		a.available = slices.Delete(a.available, i, i+1)
	}
	return taken, true
}

// free takes back a range that alloc handed out.
func (a *arena) free(s span) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.end += guardBytes
	i, _ := slices.BinarySearchFunc(a.available, s.start, func(f span, start uint64) int {
		if f.start < start {
			return -1
		}
		return 1
	})
	a.available = slices.Insert(a.available, i, s)
	if i+1 < len(a.available) && a.available[i].end == a.available[i+1].start {
		a.available[i].end = a.available[i+1].end
		a.available = slices.Delete(a.available, i+1, i+2)
	}
	if i > 0 && a.available[i-1].end == a.available[i].start {
		a.available[i-1].end = a.available[i].end
		a.available = slices.Delete(a.available, i, i+1)
	}
}

// Buffer is device memory, or memory of the caller's. It implements metal.Buffer.
type Buffer struct {
	device *Device
	data   []byte
	mapped span // of the device's region; empty for memory of the caller's
	closed atomic.Bool
	refs   refCount
	unused chan struct{} // of memory of the caller's: closed after its last use
}

// refCount counts the users of an object: its owner, and submitted work.
type refCount struct{ count atomic.Int32 }

func (u *refCount) add()          { u.count.Add(1) }
func (u *refCount) release() bool { return u.count.Add(-1) == 0 }

// NewBuffer implements metal.Device. A buffer ends at the end of a page, or up to 15 bytes before it, since it begins at
// a multiple of 16.
func (d *Device) NewBuffer(sizeBytes int) (metal.Buffer, error) {
	if d.closed.Load() {
		return nil, metal.ErrClosed
	}
	if sizeBytes <= 0 {
		return nil, fmt.Errorf("metal: a buffer of %d bytes, want at least 1", sizeBytes)
	}
	if sizeBytes > maxBufferSizeBytes {
		return nil, &metal.LimitError{What: "bytes in a buffer", Got: uint64(sizeBytes), Limit: maxBufferSizeBytes}
	}
	aligned := uint64(sizeBytes+15) &^ 15
	mapped, ok := d.arena.alloc(aligned)
	if !ok {
		return nil, &metal.LimitError{What: "bytes in buffers", Got: uint64(sizeBytes), Limit: d.regionSize}
	}
	if errno := C.nativeMap(d.api, d.native, C.uint64_t(mapped.start), C.uint64_t(mapped.end-mapped.start)); errno != 0 {
		d.arena.free(mapped)
		return nil, fmt.Errorf("metal: %d bytes of memory: %w", sizeBytes, syscall.Errno(errno))
	}
	b := &Buffer{device: d, mapped: mapped}
	b.data = unsafe.Slice((*byte)(pointer(mapped.end-aligned)), sizeBytes)
	b.refs.add()
	return b, nil
}

// pointer makes an address of C memory a pointer. The detour tells go vet that no Go memory is meant.
func pointer(address uint64) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

// NewBufferNoCopy implements metal.Device.
func (d *Device) NewBufferNoCopy(data []byte) (metal.Buffer, error) {
	if d.closed.Load() {
		return nil, metal.ErrClosed
	}
	if len(data) > maxBufferSizeBytes {
		return nil, &metal.LimitError{What: "bytes in a buffer", Got: uint64(len(data)), Limit: maxBufferSizeBytes}
	}
	page := uintptr(d.arena.page)
	if len(data) == 0 || uintptr(len(data))%page != 0 || uintptr(unsafe.Pointer(&data[0]))%page != 0 {
		return nil, metal.ErrUnaligned
	}
	b := &Buffer{device: d, data: data, unused: make(chan struct{})}
	b.refs.add()
	return b, nil
}

// Bytes implements metal.Buffer.
func (b *Buffer) Bytes() []byte {
	if b.closed.Load() {
		return nil
	}
	return b.data
}

func (b *Buffer) readOnly() bool { return b.mapped == span{} }

func (b *Buffer) address() uint64 { return uint64(uintptr(unsafe.Pointer(&b.data[0]))) }

// Close implements metal.Buffer. For memory of the caller's it waits until no submitted work uses it, since the caller
// may unmap it next.
func (b *Buffer) Close() error {
	if !b.closed.Swap(true) {
		b.release()
	}
	if b.readOnly() {
		<-b.unused
	}
	return nil
}

// release drops one use, and frees the memory after the last.
func (b *Buffer) release() {
	if !b.refs.release() {
		return
	}
	if b.readOnly() {
		close(b.unused)
		return
	}
	b.device.nativeMu.RLock()
	defer b.device.nativeMu.RUnlock()
	if b.device.native == nil { // gone, and its memory with it
		return
	}
	if C.nativeUnmap(b.device.api, b.device.native, C.uint64_t(b.mapped.start), C.uint64_t(b.mapped.end-b.mapped.start)) == 0 {
		b.device.arena.free(b.mapped)
	}
}

// Poison makes part of a buffer count as never written, in checked mode: for a test of code that reuses a buffer for
// something else. It does nothing in plain mode, nor to memory of the caller's.
func (b *Buffer) Poison(offsetBytes, sizeBytes int) {
	if !b.readOnly() {
		part := b.data[offsetBytes : offsetBytes+sizeBytes]
		C.nativePoison(b.device.api, b.device.native, C.uint64_t(b.address()+uint64(offsetBytes)), C.uint64_t(len(part)))
	}
}
