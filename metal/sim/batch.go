package sim

// #include <stdlib.h>
// #include "native.h"
import "C"

import (
	"unsafe"

	"github.com/metalrank/metalrank/metal"
)

// batch is a command list in the runtime's form, in C memory, and the objects that must stay alive until it has run.
// Batches are reused: submitting a list of the size of an earlier one allocates nothing here.
type batch struct {
	commands  cArray[C.rtCommand]
	reports   cArray[C.rtReport]
	arguments cArray[byte]
	pipelines []*pipeline // one for each command
	buffers   []*Buffer
	pending   *Pending
}

// cArray is an array in C memory that grows.
type cArray[T any] struct {
	memory    unsafe.Pointer
	len, size int
}

// resize makes room for n elements. Their content is undefined.
func (a *cArray[T]) resize(n int) []T {
	if n > a.size {
		var t T
		C.free(a.memory)
		a.memory = C.malloc(C.size_t(n) * C.size_t(unsafe.Sizeof(t)))
		a.size = n
	}
	a.len = n
	return a.slice()
}

func (a *cArray[T]) slice() []T { return unsafe.Slice((*T)(a.memory), a.len) }

func (b *batch) free() {
	C.free(b.commands.memory)
	C.free(b.reports.memory)
	C.free(b.arguments.memory)
}

// fill translates a list. Errors: metal.ErrForeign, metal.ErrClosed, *metal.LimitError; nothing is retained then.
func (b *batch) fill(d *Device, list *metal.CommandList) error {
	commands := b.commands.resize(len(list.Commands))
	b.reports.resize(len(list.Commands))
	copy(b.arguments.resize(len(list.Arguments)), list.Arguments)
	for i := range list.Commands {
		if err := b.command(d, &list.Commands[i], &commands[i]); err != nil {
			b.releaseAll()
			return err
		}
	}
	return nil
}

// command translates and retains one command.
func (b *batch) command(d *Device, from *metal.Command, to *C.rtCommand) error {
	p, ok := from.Pipeline.(*pipeline)
	if !ok || p.library.device != d {
		return metal.ErrForeign
	}
	if p.closed.Load() {
		return metal.ErrClosed
	}
	if threads := from.Threads.Count(); threads > uint64(p.info.MaxThreads) {
		return &metal.LimitError{
			Kernel: p.info.Kernel, What: "threads in a threadgroup", Got: threads, Limit: uint64(p.info.MaxThreads),
		}
	}
	p.refs.add()
	b.pipelines = append(b.pipelines, p)
	*to = C.rtCommand{
		kernel: p.kernel, library: p.library.native,
		constants: (*C.rtConstant)(p.constants), constantCount: C.uint64_t(p.count),
		groups:  [3]C.uint32_t{C.uint32_t(from.Groups.X), C.uint32_t(from.Groups.Y), C.uint32_t(from.Groups.Z)},
		threads: [3]C.uint32_t{C.uint32_t(from.Threads.X), C.uint32_t(from.Threads.Y), C.uint32_t(from.Threads.Z)},
	}
	if from.Barrier {
		to.barrier = 1
	}
	for i, size := range from.ThreadgroupMemory {
		to.threadgroupMemory[i] = C.uint32_t(size)
	}
	for i := range from.Buffers {
		if err := b.bind(d, &from.Buffers[i], &to.buffers[i]); err != nil {
			return err
		}
	}
	if from.ArgumentsSize > 0 {
		to.buffers[from.ArgumentsIndex] = C.rtBinding{
			address: C.uintptr_t(uintptr(b.arguments.memory) + uintptr(from.ArgumentsOffset)),
			size:    C.uint64_t(from.ArgumentsSize), flags: C.rtBindingReadOnly | C.rtBindingConstant,
		}
	}
	return nil
}

func (b *batch) bind(d *Device, from *metal.Binding, to *C.rtBinding) error {
	if from.Buffer == nil {
		return nil
	}
	buffer, ok := from.Buffer.(*Buffer)
	if !ok || buffer.device != d {
		return metal.ErrForeign
	}
	if buffer.closed.Load() {
		return metal.ErrClosed
	}
	buffer.refs.add()
	b.buffers = append(b.buffers, buffer)
	*to = C.rtBinding{
		address: C.uintptr_t(buffer.address() + uint64(from.OffsetBytes)),
		size:    C.uint64_t(len(buffer.data) - from.OffsetBytes),
	}
	if buffer.readOnly() {
		to.flags = C.rtBindingReadOnly
	}
	return nil
}

// releaseAll releases the pipelines and buffers that the list named.
func (b *batch) releaseAll() {
	for _, p := range b.pipelines {
		p.release()
	}
	for _, buffer := range b.buffers {
		buffer.release()
	}
	clear(b.pipelines)
	clear(b.buffers)
	b.pipelines, b.buffers, b.pending = b.pipelines[:0], b.buffers[:0], nil
}
