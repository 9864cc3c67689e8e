package sim

// #cgo linux LDFLAGS: -ldl
// #include <stdlib.h>
// #include "native.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// object is a loaded shared object.
type object struct{ handle unsafe.Pointer }

func loadObject(path string) (object, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var message *C.char
	handle := C.nativeLoad(name, &message)
	if handle == nil {
		defer C.free(unsafe.Pointer(message))
		return object{}, fmt.Errorf("sim: %s", C.GoString(message))
	}
	return object{handle}, nil
}

func (o object) symbol(name string) (unsafe.Pointer, error) {
	cName := C.CString(name)
	defer C.free(unsafe.Pointer(cName))
	var message *C.char
	symbol := C.nativeSymbol(o.handle, cName, &message)
	if symbol == nil {
		defer C.free(unsafe.Pointer(message))
		return nil, fmt.Errorf("sim: %s", C.GoString(message))
	}
	return symbol, nil
}

func (o object) unload() { C.nativeUnload(o.handle) }
