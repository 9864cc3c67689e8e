// Package filelock keeps two processes from writing to the same place. Locks are the system's advisory ones, which end
// with the process that holds them, however it ends.
//
// The package must not know the contents of files, and imports nothing of this module.
package filelock

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrHeld is returned by TryLock while another process, or another Lock of this one, holds the lock.
var ErrHeld = errors.New("filelock: held by another process")

// HeldError is an ErrHeld with the lock's path and its holder.
type HeldError struct {
	Path   string // of the lock
	Holder string // as it wrote there: "process 123 (name)"
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("filelock: %s is held by %s", e.Path, e.Holder)
}

// Is implements errors.Is.
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

// Lock is a held lock.
type Lock struct{ file *os.File }

// TryLock makes the file at path, if need be, and locks it, or returns a [*HeldError]. The file stays when the lock goes,
// unless its holder removes it first.
func TryLock(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		if errors.Is(err, ErrHeld) {
			err = &HeldError{path, holder(f)}
		}
		return nil, errors.Join(err, f.Close())
	}
	// A holder may have removed the file after we opened it and before we locked it: the next caller would make another.
	locked, err := f.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(locked, there) {
			err = &HeldError{path, unknown}
		}
	}
	if err == nil {
		err = sign(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Lock{f}, nil
}

const unknown = "another process"

// sign writes this process as the holder into the lock's file.
func sign(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := fmt.Fprintf(f, "process %d (%s)\n", os.Getpid(), filepath.Base(os.Args[0]))
	return err
}

// holder reads the holder from the lock's file. Another program's, or one that hasn't signed yet, is unknown.
func holder(f *os.File) string {
	text, err := io.ReadAll(io.LimitReader(f, 200))
	name := strings.TrimSpace(string(text))
	if err != nil || !strings.HasPrefix(name, "process ") {
		return unknown
	}
	return name
}

// Unlock releases the lock.
func (l *Lock) Unlock() error { return l.file.Close() }
