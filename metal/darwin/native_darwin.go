package darwin

/*
#cgo CFLAGS: -x objective-c -fno-objc-arc -fblocks
#cgo LDFLAGS: -framework Metal -framework Foundation -framework IOKit -framework CoreFoundation
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"os"
	"unsafe"

	dkmetal "github.com/progrium/darwinkit/macos/metal"
	"github.com/progrium/darwinkit/objc"

	"github.com/metalrank/metalrank/metal"
)

// nativeDevice is native over the shim; each object in it is owned.
type nativeDevice struct {
	device dkmetal.DeviceObject
	queue  dkmetal.CommandQueueObject
	fence  dkmetal.FenceObject
	opened C.mr_device // the same three, as the shim takes them
}

func openNative() (native, error) {
	n := &nativeDevice{}
	if failure := C.mr_open(&n.opened); failure.text != nil {
		return nil, takeError(failure)
	}
	n.device.Object = objc.ObjectFrom(n.opened.device)
	n.queue.Object = objc.ObjectFrom(n.opened.queue)
	n.fence.Object = objc.ObjectFrom(n.opened.fence)
	return n, nil
}

// Release implements native.
func (n *nativeDevice) Release() {
	objc.WithAutoreleasePool(func() {
		n.fence.Release()
		n.queue.Release()
		n.device.Release()
	})
}

// pooled releases an object inside an autorelease pool, since the thread that Go happens to run on has none.
type pooled struct{ object }

// Release implements object.
func (p pooled) Release() { objc.WithAutoreleasePool(p.object.Release) }

// families are the families that Info may list, with their values of MTLGPUFamily.
var families = []struct {
	name  string
	value C.int64_t
}{
	{"apple7", 1007}, {"apple8", 1008}, {"apple9", 1009}, {"apple10", 1010}, {"mac2", 2002}, {"metal3", 5001},
}

// simdWidth is the same on all of these; only a pipeline reports it, a device does not.
const simdWidth = 32

func (n *nativeDevice) info() metal.Info {
	told := C.mr_device_info(n.opened.device)
	info := metal.Info{
		Name:                      takeText(told.name),
		Architecture:              takeText(told.architecture),
		Cores:                     int(told.cores),
		Compiler:                  "the system's Metal compiler",
		SIMDWidth:                 simdWidth,
		MaxThreadsPerGroup:        int(told.max_threads_per_group),
		MaxThreadgroupMemoryBytes: int(told.max_threadgroup_memory_size),
		MaxBufferSizeBytes:        int(told.max_buffer_size),
		PageSizeBytes:             os.Getpagesize(),
		UnifiedMemory:             bool(told.unified_memory),
		WorkingSetSizeBytes:       int(told.working_set_size),
	}
	for _, family := range families {
		if C.mr_supports_family(n.opened.device, family.value) {
			info.Families = append(info.Families, family.name)
		}
	}
	return info
}

func (n *nativeDevice) newBuffer(sizeBytes int) (object, unsafe.Pointer) {
	var contents unsafe.Pointer
	p := C.mr_new_buffer(n.opened.device, C.uint64_t(sizeBytes), &contents)
	return ownBuffer(p), contents
}

func (n *nativeDevice) newBufferNoCopy(data []byte) object {
	return ownBuffer(C.mr_new_buffer_no_copy(n.opened.device, unsafe.Pointer(&data[0]), C.uint64_t(len(data))))
}

func ownBuffer(p unsafe.Pointer) object {
	if p == nil {
		return nil
	}
	return pooled{dkmetal.BufferObject{Object: objc.ObjectFrom(p)}}
}

// takeError makes a Go error of an error that the shim returned, and frees it.
func takeError(e C.mr_error) error {
	return &nativeError{code: int(e.code), text: takeText(e.text)}
}

func takeText(text *C.char) string {
	defer C.free(unsafe.Pointer(text))
	return C.GoString(text)
}
