package metal

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is returned when a closed object is used.
	ErrClosed = errors.New("metal: closed")
	// ErrUnaligned is returned by Device.NewBufferNoCopy for memory that doesn't begin and end at a page.
	ErrUnaligned = errors.New("metal: memory is not page-aligned")
	// ErrForeign is returned by Device.Submit for a pipeline or a buffer of another device.
	ErrForeign = errors.New("metal: made by another device")
	// ErrNoDevice is returned where there is no device, or none that this build can drive.
	ErrNoDevice = errors.New("metal: no device")
)

// CompileError says why source, or one kernel of it, did not compile.
type CompileError struct {
	Kernel string // empty: the library as a whole
	File   string // of the first complaint; empty where the compiler named none
	Line   int
	Log    string // all that the compiler said
}

// Error implements error.
func (e *CompileError) Error() string {
	what := "library"
	if e.Kernel != "" {
		what = "kernel " + e.Kernel
	}
	if e.File != "" {
		return fmt.Sprintf("metal: %s: %s:%d: %s", what, e.File, e.Line, e.Log)
	}
	return fmt.Sprintf("metal: %s: %s", what, e.Log)
}

// UnsupportedError says that a device lacks a feature that all kernels need.
type UnsupportedError struct {
	Device string
	Reason string
}

// Error implements error.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("metal: %s is not supported: %s", e.Device, e.Reason)
}

// LimitError says that a dispatch or a buffer asks for more than the device has.
type LimitError struct {
	Kernel string // empty for a buffer
	What   string // "threads in a threadgroup"
	Got    uint64
	Limit  uint64
}

// Error implements error.
func (e *LimitError) Error() string {
	if e.Kernel == "" {
		return fmt.Sprintf("metal: %d %s, the limit is %d", e.Got, e.What, e.Limit)
	}
	return fmt.Sprintf("metal: %s: %d %s, the limit is %d", e.Kernel, e.Got, e.What, e.Limit)
}

// ExecError says that submitted work failed. The contents of the buffers that it may write are undefined.
type ExecError struct {
	Kernel string // empty where the driver can't tell
	Code   int    // MTLCommandBufferError; 0 on the simulator
	Reason string
	// Transient says that the same work may well succeed another time, or less of it.
	Transient bool
	Lost      bool // the device is gone: open another
}

// Error implements error.
func (e *ExecError) Error() string {
	if e.Kernel == "" {
		return "metal: execution failed: " + e.Reason
	}
	return fmt.Sprintf("metal: %s: execution failed: %s", e.Kernel, e.Reason)
}
