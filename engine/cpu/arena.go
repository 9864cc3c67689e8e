package cpu

/*
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

// allocate returns zeroed memory; the system hands out pages when they are first touched.
static void* allocate(size_t bytes) {
	void* p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
	if (p == MAP_FAILED) return NULL;
#ifdef MADV_HUGEPAGE
	madvise(p, bytes, MADV_HUGEPAGE); // advice, which may be refused
#endif
	return p;
}

static void release(void* p, size_t bytes) { munmap(p, bytes); }
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// arena hands out memory that Go's collector doesn't know, zeroed and aligned to a cache line. Blocks are large, so that
// the system can back them with huge pages: panels of weights would otherwise miss the TLB in every row of a tile.
type arena struct {
	blocks []arenaBlock
	used   int   // bytes of the last block
	total  int   // bytes handed out
	err    error // the first error of reserving memory, or of reading weights into it
}

type arenaBlock struct {
	memory unsafe.Pointer
	size   int
}

const (
	arenaBlockSizeBytes = 16 << 20
	hugePageSizeBytes   = 2 << 20
	cacheLineSizeBytes  = 64
)

// take returns n bytes. After a failure it returns memory that must not be used: the caller looks at err in the end.
func (a *arena) take(n int) unsafe.Pointer {
	n = roundUp(max(n, 1), cacheLineSizeBytes)
	if len(a.blocks) == 0 || a.used+n > a.blocks[len(a.blocks)-1].size {
		size := roundUp(max(n, arenaBlockSizeBytes), hugePageSizeBytes)
		memory := C.allocate(C.size_t(size))
		if memory == nil {
			a.err = fmt.Errorf("cpu: no memory for %d MB of weights and scratch", size>>20)
			return nil
		}
		a.blocks, a.used = append(a.blocks, arenaBlock{memory, size}), 0
	}
	p := unsafe.Add(a.blocks[len(a.blocks)-1].memory, a.used)
	a.used, a.total = a.used+n, a.total+n
	return p
}

// free gives everything back.
func (a *arena) free() {
	for _, b := range a.blocks {
		C.release(b.memory, C.size_t(b.size))
	}
	*a = arena{}
}

// takeSlice returns n zero values of a type without Go pointers, or nil once the arena has failed.
func takeSlice[T any](a *arena, n int) []T {
	var zero T
	p := a.take(n * int(unsafe.Sizeof(zero)))
	if p == nil {
		return nil
	}
	return unsafe.Slice((*T)(p), n)
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }
