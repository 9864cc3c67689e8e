// Package metal is a small contract for running compute kernels written in the Metal Shading Language, with two
// drivers: metal/darwin on Apple's GPUs, and metal/sim, which executes the same source on a CPU.
//
// It knows nothing of tensors: memory is bytes, and a kernel is a name in a library.
package metal

import (
	"context"
	"time"
)

// Device compiles libraries, owns memory and executes dispatches. Its methods may be called from several goroutines
// at once. Close it after everything it made.
type Device interface {
	// Info describes the device; it doesn't change.
	Info() Info
	// NewBuffer returns memory that the CPU and the device share, at least one byte. Its content is undefined. Errors:
	// *LimitError.
	NewBuffer(sizeBytes int) (Buffer, error)
	// NewBufferNoCopy makes memory that the caller owns, a mapped file say, visible to the device. Its address and
	// length must be multiples of Info.PageSizeBytes, and it must stay valid until the Buffer's Close has returned,
	// which waits for submitted work that uses it. The device may only read it. Errors: *LimitError, ErrUnaligned.
	NewBufferNoCopy(data []byte) (Buffer, error)
	// NewLibrary compiles source, or loads an earlier compilation of it. Errors: *CompileError.
	NewLibrary(source Source) (Library, error)
	// Submit executes a recorded list, and returns at once. Lists execute one after another, in the order in which
	// they were submitted, and see the writes of earlier ones. The list may be reused when Submit returns; the buffers
	// and pipelines that it names may be closed, and are freed once the work has ended. Errors: ErrForeign.
	Submit(list *CommandList) (Pending, error)
	// KeepResident asks the system to keep all buffers where the device reaches them at once, although no work needs them;
	// it is called again every half second. With false, it no longer asks. It returns false where the system can't be
	// asked: there only work keeps buffers in reach.
	KeepResident(keep bool) bool
	// Close waits for submitted work and frees the device. Methods called later return ErrClosed.
	Close() error
}

// Buffer is memory that the CPU and the device share.
type Buffer interface {
	// Bytes is the memory itself, at least one byte, at a multiple of 16; nil after Close. It doesn't move. The CPU must
	// not touch bytes that submitted work may write, nor write bytes that it may read.
	Bytes() []byte
	// Close frees the memory once no submitted work uses it. It may be called more than once.
	Close() error
}

// Library is compiled source. Its pipelines outlive it.
type Library interface {
	// Pipeline specialises one kernel by its function constants. Errors: *CompileError.
	Pipeline(kernel string, constants ...Constant) (Pipeline, error)
	Close() error
}

// Pipeline is a kernel that is ready to be dispatched.
type Pipeline interface {
	Info() PipelineInfo
	Close() error
}

// Pending is submitted work.
type Pending interface {
	// Wait returns when the work has ended, or with ctx's error when ctx ends first; the work goes on all the same
	// and Wait may be called again. Errors: *ExecError.
	Wait(ctx context.Context) (Timing, error)
}

// Info describes a device.
type Info struct {
	Name                      string   // "Apple M2 Max", "simulator"
	Architecture              string   // "applegpu_g13s", as MTLArchitecture has it; "" where the driver can't tell
	Cores                     int      // of the GPU; 0 where the driver can't tell
	Compiler                  string   // the name of the compiler, for people; "" where the driver can't tell
	Families                  []string // "apple8", "mac2", "metal3"; none on the simulator
	SIMDWidth                 int      // threads in a SIMD-group: 32
	MaxThreadsPerGroup        int      // 1024
	MaxThreadgroupMemoryBytes int      // 32,768
	MaxBufferSizeBytes        int
	PageSizeBytes             int  // alignment that NewBufferNoCopy needs
	UnifiedMemory             bool // the CPU and the device share one memory
	WorkingSetSizeBytes       int  // all buffers together should stay below it; 0: not known
	Simulated                 bool // times say nothing about any real device
}

// PipelineInfo holds the needs and limits of a compiled kernel.
type PipelineInfo struct {
	Kernel                 string
	MaxThreads             int // in a threadgroup; at most Info.MaxThreadsPerGroup
	SIMDWidth              int
	ThreadgroupMemoryBytes int // declared in the kernel; Dispatch.ThreadgroupMemory comes on top
	// Precompiled says that the kernel comes from a metallib.
	Precompiled bool
}

// Timing is when the device worked, on its own clock; both zero where the driver can't tell.
type Timing struct {
	Start, End time.Duration
}

// Elapsed is the device time of the whole list.
func (t Timing) Elapsed() time.Duration { return t.End - t.Start }
