//go:build linux || darwin

package weights

import (
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapFile maps size bytes of f, read-only and shared with the page cache, so that several processes hold one copy.
// A file that is cut short while it is mapped raises SIGBUS on the next touch, which ends the process: replace a
// checkpoint by renaming, not by writing into it.
func mapFile(f *os.File, size int64) ([]byte, error) {
	if size > math.MaxInt {
		return nil, unix.EFBIG
	}
	return unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
}

func unmapFile(m []byte) error { return unix.Munmap(m) }

// wholePages returns the pages of mapping m, the last one to its end, and where in them data begin, if they lie in m.
// What is behind the file's end in its last page reads as zeros.
func wholePages(m, data []byte) (pages []byte, offset int, ok bool) {
	first, at := uintptr(unsafe.Pointer(unsafe.SliceData(m))), uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	if len(data) == 0 || at < first || at-first > uintptr(len(m)-len(data)) {
		return nil, 0, false
	}
	size := os.Getpagesize()
	return unsafe.Slice(unsafe.SliceData(m), (len(m)+size-1)/size*size), int(at - first), true
}

// forgetFile lets the system take the pages from this process; they are read again when they are touched.
func forgetFile(m []byte) { _ = unix.Madvise(m, unix.MADV_DONTNEED) } // a hint
