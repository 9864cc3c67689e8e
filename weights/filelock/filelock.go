// Package filelock keeps two processes from writing to the same place. Locks are the system's advisory ones, which end
// with the process that holds them, however it ends.
//
// The package must not know what is being written, and imports nothing of this module.
package filelock

import (
	"errors"
	"io/fs"
	"os"
)

// ErrHeld is returned by TryLock while another process, or another Lock of this one, holds the lock.
var ErrHeld = errors.New("filelock: held by another process")

// Lock is a held lock.
type Lock struct{ file *os.File }

// TryLock makes the file at path, if need be, and locks it, or returns [ErrHeld]. The file stays when the lock goes,
// unless its holder removes it first.
func TryLock(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	// A holder may have removed the file between our opening and locking it: the next comer would make another.
	locked, err := f.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(locked, there) {
			err = ErrHeld
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Lock{f}, nil
}

// Unlock gives the lock back.
func (l *Lock) Unlock() error { return l.file.Close() }
