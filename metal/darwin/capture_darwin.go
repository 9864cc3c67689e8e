package darwin

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"unsafe"

	"github.com/metalrank/metalrank/metal"
)

// Capture records the work of device into a new file that Xcode opens, a .gputrace, until stop is called. The
// environment must have MTL_CAPTURE_ENABLED=1. Errors: metal.ErrForeign, and Metal's.
func Capture(opened metal.Device, path string) (stop func(), err error) {
	d, ok := opened.(*device)
	if !ok {
		return nil, metal.ErrForeign
	}
	n, ok := d.native.(*nativeDevice)
	if !ok {
		return nil, metal.ErrForeign
	}
	if err := d.acquire(); err != nil {
		return nil, err
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	if failure := C.mr_start_capture(n.opened.device, name); failure.text != nil {
		d.release()
		return nil, takeError(failure)
	}
	return func() {
		C.mr_stop_capture()
		d.release()
	}, nil
}
