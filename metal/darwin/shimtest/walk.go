// Package shimtest lets metal/darwin's tests call into C where there is no Metal. Its plain C, compiled against shim.h,
// reads a list as the shim would. This shows that C and Go agree on the layout, and measures the cost of a call.
//
// It knows shim.h and nothing of the driver.
package shimtest

/*
#cgo CFLAGS: -O2
#include "walk.h"
*/
import "C"

import "unsafe"

// FieldsPerCommand is how many numbers Walk reads from a command.
const FieldsPerCommand = int(C.mr_fields_per_command)

// Sizes returns the sizes in bytes of mr_command and mr_binding.
func Sizes() (command, binding uintptr) {
	return unsafe.Sizeof(C.mr_command{}), unsafe.Sizeof(C.mr_binding{})
}

// Walk makes one call into C, which reads every field of count commands and every byte of their arguments, as the shim
// does. It returns the sum of all, and the fields in the order of shim.h, where fields has room for them.
func Walk(commands unsafe.Pointer, count int, arguments []byte, fields []uint64) uint64 {
	if fields != nil && len(fields) < count*FieldsPerCommand {
		panic("BUG: no room for the fields")
	}
	return uint64(C.mr_walk((*C.mr_command)(commands), C.uint64_t(count),
		(*C.uint8_t)(unsafe.SliceData(arguments)), (*C.uint64_t)(unsafe.SliceData(fields))))
}
