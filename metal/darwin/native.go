package darwin

import (
	"runtime/cgo"
	"unsafe"

	"github.com/metalrank/metalrank/metal"
)

// native is Metal as this driver sees it: one device with its queue. Each method is one call into the shim and may be
// called from several goroutines at once. The caller owns the results. Errors are *nativeError.
type native interface {
	// Release gives the device back; nothing may be called after it.
	Release()
	info() metal.Info
	// newBuffer returns a buffer and its memory.
	newBuffer(sizeBytes int) (object, unsafe.Pointer, error)
	// newBufferNoCopy returns a buffer over data, whole pages that must live as long as it does.
	newBufferNoCopy(data []byte) (object, error)
	// keepResident is metal.Device's KeepResident.
	keepResident(keep bool) bool
	loadLibrary(metallib []byte) (object, error)
	compileLibrary(text string) (object, error)
	// newPipeline returns a kernel's pipeline, and an info without its name.
	newPipeline(library object, kernel string, constants []metal.Constant) (object, metal.PipelineInfo, error)
	// submit starts commands and copies them. Without an error, completed(list, …) follows exactly once, from any
	// thread, perhaps before submit returns; with one, never.
	submit(commands []command, arguments []byte, list cgo.Handle) error
}

// object is an owned Objective-C object, as darwinkit's are.
type object interface {
	Ptr() unsafe.Pointer
	Release()
}

// nativeError is an NSError.
type nativeError struct {
	code int
	text string
}

func (e *nativeError) Error() string { return e.text }

// command is mr_command of shim.h, field by field.
type command struct {
	pipeline          uintptr
	buffers           [metal.MaxBuffers]binding
	threadgroupMemory [metal.MaxThreadgroupArguments]uint32
	argumentsOffset   uint32
	argumentsSize     uint32
	argumentsIndex    uint32
	barrier           uint32
	groups, threads   [3]uint32
}

// binding is mr_binding of shim.h.
type binding struct {
	buffer uintptr
	offset uint64
}
