package darwin

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"unsafe"

	dkmetal "github.com/progrium/darwinkit/macos/metal"
	"github.com/progrium/darwinkit/objc"

	"github.com/metalrank/metalrank/metal"
)

func (n *nativeDevice) loadLibrary(metallib []byte) (object, error) {
	var failure C.mr_error
	p := C.mr_load_library(n.opened.device, unsafe.Pointer(&metallib[0]), C.uint64_t(len(metallib)), &failure)
	return ownLibrary(p, failure)
}

func (n *nativeDevice) compileLibrary(text string) (object, error) {
	source := C.CString(text)
	defer C.free(unsafe.Pointer(source))
	var failure C.mr_error
	p := C.mr_compile_library(n.opened.device, source, &failure)
	return ownLibrary(p, failure)
}

func ownLibrary(p unsafe.Pointer, failure C.mr_error) (object, error) {
	if p == nil {
		return nil, takeError(failure)
	}
	return pooled{dkmetal.LibraryObject{Object: objc.ObjectFrom(p)}}, nil
}

func (n *nativeDevice) newPipeline(
	library object, kernel string, constants []metal.Constant,
) (object, metal.PipelineInfo, error) {
	name := C.CString(kernel)
	defer C.free(unsafe.Pointer(name))
	values := make([]C.mr_constant, len(constants))
	for i, c := range constants {
		values[i] = C.mr_constant{index: C.uint32_t(c.Index), _type: C.uint32_t(c.Type), bits: C.uint32_t(c.Bits)}
	}
	var told C.mr_pipeline_info
	var failure C.mr_error
	p := C.mr_new_pipeline(n.opened.device, library.Ptr(), name,
		unsafe.SliceData(values), C.uint64_t(len(values)), &told, &failure)
	if p == nil {
		return nil, metal.PipelineInfo{}, takeError(failure)
	}
	info := metal.PipelineInfo{
		MaxThreads:             int(told.max_threads),
		SIMDWidth:              int(told.simd_width),
		ThreadgroupMemoryBytes: int(told.threadgroup_memory_size),
	}
	return pooled{dkmetal.ComputePipelineStateObject{Object: objc.ObjectFrom(p)}}, info, nil
}
