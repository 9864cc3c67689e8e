//go:build !linux && !darwin

package weights

import (
	"errors"
	"io"
	"math"
	"os"
)

// mapFile reads the file where there is no mapping: the same bytes, at the cost of a copy.
func mapFile(f *os.File, size int64) ([]byte, error) {
	if size > math.MaxInt {
		return nil, errors.New("file is larger than the address space")
	}
	m := make([]byte, size)
	_, err := io.ReadFull(f, m)
	return m, err
}

func unmapFile([]byte) error { return nil }

// wholePages finds nothing: files are not mapped here.
func wholePages(_, _ []byte) (pages []byte, offset int, ok bool) { return nil, 0, false }

func forgetFile([]byte) {}
