//go:build linux || darwin

package weights

import (
	"math"
	"os"

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

// forgetFile lets the system take the pages from this process; they are read again when they are touched.
func forgetFile(m []byte) { _ = unix.Madvise(m, unix.MADV_DONTNEED) } // a hint
