package darwin

/*
#include "shim.h"
*/
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

// These don't compile where command or binding has another size than its twin in C; shimtest compares every field.
var (
	_ = [1]struct{}{}[unsafe.Sizeof(command{})-unsafe.Sizeof(C.mr_command{})]
	_ = [1]struct{}{}[unsafe.Sizeof(binding{})-unsafe.Sizeof(C.mr_binding{})]
)

// submit passes pointers into Go's memory, which cgo keeps in place during the call.
func (n *nativeDevice) submit(commands []command, arguments []byte, list cgo.Handle) error {
	n.commitResidency()
	failure := C.mr_submit(&n.opened,
		(*C.mr_command)(unsafe.Pointer(unsafe.SliceData(commands))), C.uint64_t(len(commands)),
		unsafe.Pointer(unsafe.SliceData(arguments)), C.uintptr_t(list))
	if failure.text != nil {
		return takeError(failure)
	}
	return nil
}

// metalrankCompleted is called by the shim, on a thread of Metal's, when a command buffer has ended.
//
//export metalrankCompleted
func metalrankCompleted(list C.uintptr_t, code C.int64_t, reason *C.char, start, end C.double) {
	var err error
	if reason != nil {
		err = &nativeError{code: int(code), text: C.GoString(reason)}
	}
	completed(cgo.Handle(list), err, float64(start), float64(end))
}
