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
	"sync"
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
	opened C.mr_device // the same three, as the shim takes them, and the residency set
	set    residency
	facts  metal.Info
}

// residency guards a device's residency set.
type residency struct {
	objc.Object
	mu      sync.Mutex
	changed bool // guarded by mu: since it was committed
}

func openNative() (native, error) {
	n := &nativeDevice{}
	if failure := C.mr_open(&n.opened); failure.text != nil {
		return nil, takeError(failure)
	}
	n.device.Object = objc.ObjectFrom(n.opened.device)
	n.queue.Object = objc.ObjectFrom(n.opened.queue)
	n.fence.Object = objc.ObjectFrom(n.opened.fence)
	if n.opened.residency != nil {
		n.set.Object = objc.ObjectFrom(n.opened.residency)
	}
	if err := n.describe(); err != nil {
		n.Release()
		return nil, err
	}
	return n, nil
}

// commitResidency makes changes to the set count, before work that needs the buffers.
func (n *nativeDevice) commitResidency() {
	n.set.mu.Lock()
	defer n.set.mu.Unlock()
	if n.set.changed {
		C.mr_commit_residency(n.opened.residency)
		n.set.changed = false
	}
}

// setResident adds a buffer to the set, or takes it out.
func (n *nativeDevice) setResident(buffer unsafe.Pointer, resident bool) {
	if n.opened.residency == nil {
		return
	}
	n.set.mu.Lock()
	defer n.set.mu.Unlock()
	C.mr_set_resident(n.opened.residency, buffer, C.bool(resident))
	n.set.changed = true
}

func (n *nativeDevice) keepResident(keep bool) bool {
	if n.opened.residency == nil {
		return false
	}
	n.commitResidency()
	n.set.mu.Lock()
	defer n.set.mu.Unlock()
	C.mr_keep_resident(n.opened.residency, C.bool(keep))
	return true
}

// Release implements native.
func (n *nativeDevice) Release() {
	objc.WithAutoreleasePool(func() {
		if n.opened.residency != nil {
			n.set.Release()
		}
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

func (n *nativeDevice) info() metal.Info { return n.facts }

func (n *nativeDevice) describe() error {
	var told C.mr_info
	if failure := C.mr_device_info(n.opened.device, &told); failure.text != nil {
		return takeError(failure)
	}
	n.facts = metal.Info{
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
			n.facts.Families = append(n.facts.Families, family.name)
		}
	}
	return nil
}

func (n *nativeDevice) newBuffer(sizeBytes int) (object, unsafe.Pointer, error) {
	var contents unsafe.Pointer
	var failure C.mr_error
	p := C.mr_new_buffer(n.opened.device, C.uint64_t(sizeBytes), &contents, &failure)
	o, err := n.ownBuffer(p, failure)
	return o, contents, err
}

func (n *nativeDevice) newBufferNoCopy(data []byte) (object, error) {
	var failure C.mr_error
	p := C.mr_new_buffer_no_copy(n.opened.device, unsafe.Pointer(&data[0]), C.uint64_t(len(data)), &failure)
	return n.ownBuffer(p, failure)
}

func (n *nativeDevice) ownBuffer(p unsafe.Pointer, failure C.mr_error) (object, error) {
	if p == nil {
		return nil, takeError(failure)
	}
	n.setResident(p, true)
	return resident{pooled{dkmetal.BufferObject{Object: objc.ObjectFrom(p)}}, n}, nil
}

// resident is a buffer in its device's residency set.
type resident struct {
	pooled
	device *nativeDevice
}

// Release implements object. The set is committed at once: it holds the buffer until then, and its caller may unmap the memory
// next.
func (r resident) Release() {
	r.device.setResident(r.Ptr(), false)
	r.device.commitResidency()
	r.pooled.Release()
}

// takeError makes a Go error of an error that the shim returned, and frees it.
func takeError(e C.mr_error) error {
	return &nativeError{code: int(e.code), text: takeText(e.text)}
}

func takeText(text *C.char) string {
	defer C.free(unsafe.Pointer(text))
	return C.GoString(text)
}
