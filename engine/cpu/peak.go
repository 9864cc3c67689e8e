package cpu

/*
#include <stdlib.h>
#include "forward.h"
#include "peak.h"

static void enter(const struct kernels* k) { if (k->enter) k->enter(); }
static void leave(const struct kernels* k) { if (k->leave) k->leave(); }
*/
import "C"

import (
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// Peaks are the highest rates of some workers, all together, measured one after another. Nothing else should run meanwhile.
type Peaks struct {
	Variant string // its instructions were measured
	Workers int
	// FLOPS are operations a second of a chain of multiply-adds between registers, by precision; Half is that of halves,
	// which no variant computes in. A precision for which there is no chain is missing, and Half is 0.
	FLOPS map[Precision]float64
	Half  float64
	// Copies of blocks that fit a second-level cache, a share of the third, and neither: bytes read and written a second.
	CacheCopy, SharedCopy, MemoryCopy float64
}

// Sizes that each worker copies within: half is read and half is written.
const (
	cacheCopyBytes  = 256 << 10
	sharedCopyBytes = 6 << 20
	memoryCopyBytes = 256 << 20
)

// peakRounds is how often each is measured. The best counts: other programs only make them slower.
const peakRounds = 9

// MeasurePeaks takes about 60 slices' time. Errors: a variant that options name and the machine lacks.
func MeasurePeaks(options Options, slice time.Duration) (Peaks, error) {
	kernels, _, err := chooseVariant(options.Variant)
	if err != nil {
		return Peaks{}, err
	}
	p := Peaks{Variant: nameOf(kernels), Workers: options.Workers, FLOPS: map[Precision]float64{}}
	if p.Workers == 0 {
		p.Workers = runtime.GOMAXPROCS(0)
	}
	name := C.CString(p.Variant)
	defer C.free(unsafe.Pointer(name))
	if chains := C.find_peaks(name); chains != nil {
		for precision, chain := range map[Precision]*C.chain{FP32: chains.f32, Int8: chains.i8, BF16: chains.bf16} {
			if chain != nil {
				p.FLOPS[precision] = p.chain(kernels, chain, slice)
			}
		}
		if chains.f16 != nil {
			p.Half = p.chain(kernels, chains.f16, slice)
		}
	}
	for size, rate := range map[int]*float64{
		cacheCopyBytes: &p.CacheCopy, sharedCopyBytes: &p.SharedCopy, memoryCopyBytes: &p.MemoryCopy,
	} {
		*rate = p.together(func() float64 { return float64(C.copy_rate(C.ulong(size), C.double(slice.Seconds()))) })
	}
	return p, nil
}

func (p *Peaks) chain(kernels *C.struct_kernels, chain *C.chain, slice time.Duration) float64 {
	return p.together(func() float64 {
		C.enter(kernels) // sets up tile registers
		defer C.leave(kernels)
		return float64(C.chain_rate(chain, C.double(slice.Seconds())))
	})
}

// together adds up the rates that f measures on each worker's thread at the same time, and returns the best round's sum.
func (p *Peaks) together(f func() float64) float64 {
	best := 0.0
	for range peakRounds {
		rates := make([]float64, p.Workers)
		var workers sync.WaitGroup
		for w := range rates {
			workers.Go(func() {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				rates[w] = f()
			})
		}
		workers.Wait()
		sum := 0.0
		for _, rate := range rates {
			sum += rate
		}
		best = max(best, sum)
	}
	return best
}
