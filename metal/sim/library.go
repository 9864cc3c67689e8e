package sim

// #include <stdlib.h>
// #include "native.h"
import "C"

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/metalrank/metalrank/metal"
)

// library is a loaded kernel object.
type library struct {
	device      *Device
	object      object
	path        string // of the object
	native      unsafe.Pointer
	description *description
	kernels     map[string]C.rtKernelInfo
	lines       lines
	closed      atomic.Bool
	refs        refCount
}

// NewLibrary implements metal.Device. A library that any process has compiled before is loaded from the cache folder.
func (d *Device) NewLibrary(source metal.Source) (metal.Library, error) {
	if d.closed.Load() {
		return nil, metal.ErrClosed
	}
	path, about, err := d.builder.libraryObject(source)
	if err != nil {
		return nil, err
	}
	object, err := loadObject(path)
	if err != nil {
		return nil, &metal.CompileError{Log: err.Error()}
	}
	symbol, err := object.symbol("metalrank_library")
	if err != nil {
		return nil, err
	}
	l := &library{device: d, object: object, path: path, description: about, kernels: map[string]C.rtKernelInfo{}}
	var reason *C.char
	if l.native = C.nativePrepare(d.api, d.native, symbol, &reason); l.native == nil {
		object.unload()
		return nil, fmt.Errorf("sim: %s: %s", path, C.GoString(reason))
	}
	for i := range C.nativeKernelCount(d.api, l.native) {
		var info C.rtKernelInfo
		C.nativeKernelInfo(d.api, l.native, i, &info)
		l.kernels[C.GoString(info.name)] = info
	}
	l.refs.add()
	return l, nil
}

// Close implements metal.Library. The object stays loaded as long as a pipeline needs it.
func (l *library) Close() error {
	if !l.closed.Swap(true) {
		l.release()
	}
	return nil
}

func (l *library) release() {
	if l.refs.release() {
		l.object.unload()
	}
}

// pipeline is a kernel with its function constants.
type pipeline struct {
	library   *library
	info      metal.PipelineInfo
	kernel    unsafe.Pointer
	constants unsafe.Pointer // constantCount of C.rtConstant
	count     int
	closed    atomic.Bool
	refs      refCount
}

// Pipeline implements metal.Library.
func (l *library) Pipeline(kernel string, constants ...metal.Constant) (metal.Pipeline, error) {
	if l.closed.Load() {
		return nil, metal.ErrClosed
	}
	info, ok := l.kernels[kernel]
	if !ok {
		return nil, &metal.CompileError{Kernel: kernel, Log: "the library has no such kernel"}
	}
	if err := l.checkConstants(kernel, constants); err != nil {
		return nil, err
	}
	device := l.device.Info()
	if int(info.threadgroupBytes) > device.MaxThreadgroupMemoryBytes {
		return nil, &metal.CompileError{Kernel: kernel, Log: fmt.Sprintf("threadgroup variables take %d bytes, the limit is %d",
			info.threadgroupBytes, device.MaxThreadgroupMemoryBytes)}
	}
	p := &pipeline{library: l, kernel: info.kernel, count: len(constants), info: metal.PipelineInfo{
		Kernel: kernel, MaxThreads: device.MaxThreadsPerGroup, SIMDWidth: device.SIMDWidth,
		ThreadgroupMemoryBytes: int(info.threadgroupBytes),
	}}
	if info.maxThreads != 0 {
		p.info.MaxThreads = min(p.info.MaxThreads, int(info.maxThreads))
	}
	if l.device.maxThreads != nil {
		p.info.MaxThreads = min(p.info.MaxThreads, l.device.maxThreads(kernel))
	}
	if len(constants) > 0 {
		p.constants = C.malloc(C.size_t(len(constants)) * C.sizeof_rtConstant)
		for i, c := range constants {
			unsafe.Slice((*C.rtConstant)(p.constants), len(constants))[i] = C.rtConstant{index: C.uint32_t(c.Index), bits: C.uint32_t(c.Bits)}
		}
	}
	l.refs.add()
	p.refs.add()
	return p, nil
}

// constantTypes are the types that a value may have for a declared type.
var constantTypes = map[string]metal.ConstantType{
	"bool": metal.ConstantBool, "float": metal.ConstantFloat, "int": metal.ConstantInt, "int32_t": metal.ConstantInt,
	"uint": metal.ConstantUint, "uint32_t": metal.ConstantUint, "unsigned": metal.ConstantUint, "unsigned int": metal.ConstantUint,
}

// checkConstants refuses values of a wrong type, and a kernel for which one is missing.
func (l *library) checkConstants(kernel string, values []metal.Constant) error {
	needed := l.description.Kernels[kernel].Constants
	for _, c := range l.description.Constants {
		i := slices.IndexFunc(values, func(v metal.Constant) bool { return v.Index == c.Index })
		want, known := constantTypes[strings.TrimSpace(c.Type)]
		switch {
		case i >= 0 && known && values[i].Type != want:
			return &metal.CompileError{Kernel: kernel, Log: fmt.Sprintf("function constant %s (index %d) is a %s, got MTLDataType %d",
				c.Name, c.Index, c.Type, values[i].Type)}
		case i < 0 && !c.Optional && slices.Contains(needed, c.Name):
			return &metal.CompileError{Kernel: kernel, Log: fmt.Sprintf("function constant %s (index %d) is not set", c.Name, c.Index)}
		}
	}
	return nil
}

func (p *pipeline) Info() metal.PipelineInfo { return p.info }

// Close implements metal.Pipeline.
func (p *pipeline) Close() error {
	if !p.closed.Swap(true) {
		p.release()
	}
	return nil
}

func (p *pipeline) release() {
	if p.refs.release() {
		C.free(p.constants)
		p.library.release()
	}
}
