// Package sim is a metal.Device that executes Metal Shading Language on a CPU: the text that Apple's compiler takes is
// rewritten a little (package msl), compiled by clang++ against our own metal_stdlib (shim/), and run by a runtime of
// ours (rt/), one fiber per thread. Its times say nothing about any GPU; its results and, in checked mode, its findings
// do.
//
// It cannot show speed, register pressure, errors of Apple's compiler, the order in which hardware adds up, and the real
// layout of simdgroup_matrix. It is stricter than hardware: SIMD-group functions must be reached by all lanes of a
// SIMD-group that have not returned; lanes do not run in lockstep; a buffer that is not set is a null pointer, even to
// code with an unused result; a thread has 128 KB of its own memory.
//
// It knows nothing of tensors or models.
package sim

// #include "native.h"
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/metalrank/metalrank/metal"
)

// Config says how to simulate. Its zero value is plain, deterministic execution on every core.
type Config struct {
	// Threads is how many host threads execute threadgroups; 0: one per core.
	Threads int
	// Checked finds races, accesses out of bounds and reads of memory that was never written, and counts bytes. It uses
	// one host thread and is about five times slower. See Pending.Reports, Finding and Counters.
	Checked bool
	// Seed permutes the order of threads and threadgroups; 0: in order.
	Seed uint64
	// CacheDir keeps compiled objects; empty: metalrank/sim in the user's cache folder.
	CacheDir string
	// MaxThreads returns how many threads a threadgroup of a kernel may have, as registers limit them on a GPU: Apple's have
	// told 384 to 1,024. Nil: 1,024 for all.
	MaxThreads func(kernel string) int
	// Compiler is the clang++ to use; empty: $METALRANK_CLANG, or the newest that is found.
	Compiler string
}

// Report is the outcome of one dispatch.
type Report struct {
	Kernel                 string
	ThreadgroupMemoryBytes int // that the kernel declares
	Counters               Counters
	Findings               []Finding
	Elapsed                time.Duration
}

// Device is a simulated device.
type Device struct {
	builder    *builder
	maxThreads func(kernel string) int // nil: no limit of a kernel's own
	api        *C.rtAPI
	arena      *arena
	regionSize uint64
	queue      *queue
	closed     atomic.Bool

	nativeMu sync.RWMutex // held by Close while it frees native
	native   unsafe.Pointer
}

var _ metal.Device = (*Device)(nil)

// Open starts a simulated device. The first time it compiles the runtime, which takes a few seconds. Errors:
// metal.ErrNoDevice if no clang++ is new enough, or if the program is static and can't load compiled kernels.
func Open(config Config) (*Device, error) {
	if config.Threads < 0 {
		return nil, fmt.Errorf("sim: %d threads, want 0 or more", config.Threads)
	}
	if C.nativeCanLoad() == 0 {
		return nil, fmt.Errorf("%w: the simulator loads the kernels that it compiles, which this static program can't; one built from source can", metal.ErrNoDevice)
	}
	b, err := newBuilder(config)
	if err != nil {
		return nil, err
	}
	path, err := b.runtimeObject()
	if err != nil {
		return nil, err
	}
	object, err := loadObject(path) // and never unloaded: signal handlers point into it
	if err != nil {
		return nil, err
	}
	symbol, err := object.symbol("rt_api")
	if err != nil {
		return nil, err
	}
	d := &Device{builder: b, maxThreads: config.MaxThreads, api: C.nativeTable(symbol), queue: newQueue()}
	threads, checked := config.Threads, C.uint32_t(0)
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	if config.Checked { // the checker wants every access in one order
		threads, checked = 1, 1
	}
	var reason *C.char
	if d.native = C.nativeOpen(d.api, C.uint32_t(threads), checked, C.uint64_t(config.Seed), &reason); d.native == nil {
		return nil, fmt.Errorf("sim: %s", C.GoString(reason))
	}
	var size C.uint64_t
	start := C.nativeRegion(d.api, d.native, &size)
	d.arena, d.regionSize = newArena(uint64(start), uint64(size)), uint64(size)
	go d.execute()
	return d, nil
}

// Info implements metal.Device. Limits are those of every Apple GPU since the M1.
func (d *Device) Info() metal.Info {
	return metal.Info{
		Name: "simulator", Compiler: d.builder.compiler.version, SIMDWidth: 32, MaxThreadsPerGroup: 1024, MaxThreadgroupMemoryBytes: 32 << 10,
		MaxBufferSizeBytes: maxBufferSizeBytes, PageSizeBytes: os.Getpagesize(), UnifiedMemory: true, Simulated: true,
	}
}

// KeepResident implements metal.Device: a simulator's memory is the process's.
func (d *Device) KeepResident(bool) bool { return false }

// Close implements metal.Device.
func (d *Device) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	d.queue.close()
	d.nativeMu.Lock()
	defer d.nativeMu.Unlock()
	C.nativeClose(d.api, d.native)
	d.native = nil
	return nil
}
