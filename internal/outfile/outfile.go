// Package outfile writes a command's output so that the file of its name is never incomplete: to a file beside it called
// *.partial, which takes the name when it is whole. Two processes can't write the same output at once.
//
// The package must not know the contents of files.
package outfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/metalrank/metalrank/internal/filelock"
)

// File is an output that is being written, to *.partial.
type File struct {
	*os.File

	path string
	lock *filelock.Lock // nil where the output is no regular file, and is written to directly
}

// Create opens an empty output. An existing device, pipe or socket is written to directly. The caller closes the File.
func Create(path string) (*File, error) {
	f, err := Resume(path)
	if err != nil || f.Direct() {
		return f, err
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close(false))
	}
	return f, nil
}

// Resume is Create, but keeps the contents of *.partial that an earlier process left.
func Resume(path string) (*File, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // so that the link stays a link
	}
	perm := fs.FileMode(0o666)
	switch there, err := os.Stat(path); {
	case err == nil && there.Mode().IsRegular():
		perm = there.Mode().Perm()
		if err := writable(path); err != nil {
			return nil, err
		}
	case err == nil:
		file, err := os.OpenFile(path, os.O_WRONLY, 0) // a folder is an error
		if err != nil {
			return nil, err
		}
		return &File{File: file, path: path}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	f := &File{path: path}
	var err error
	if f.lock, err = filelock.TryLock(f.Partial() + ".lock"); errors.Is(err, filelock.ErrHeld) {
		return nil, fmt.Errorf("another process is writing %s: %w", path, err)
	} else if err != nil {
		return nil, err
	}
	if f.File, err = os.OpenFile(f.Partial(), os.O_RDWR|os.O_CREATE, perm); err != nil {
		return nil, errors.Join(err, f.unlock())
	}
	return f, nil
}

// writable returns an error for a write-protected file, which a rename would replace all the same.
func writable(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return file.Close()
}

// Partial returns the path of the output until it is whole.
func (f *File) Partial() string { return f.path + ".partial" }

// Direct says whether the output is a device, a pipe or a socket, which can be neither resumed nor undone.
func (f *File) Direct() bool { return f.lock == nil }

// Close ends the output. If it is whole, it gets its name, and is on the disk when Close returns. Else it stays in
// *.partial, or is removed if it is empty.
func (f *File) Close(whole bool) error {
	if f.Direct() {
		return f.File.Close()
	}
	if !whole {
		info, err := f.Stat()
		if err == nil && info.Size() == 0 {
			err = os.Remove(f.Partial())
		}
		return errors.Join(err, f.File.Close(), f.unlock())
	}
	err := errors.Join(f.Sync(), f.File.Close())
	if err == nil {
		err = os.Rename(f.Partial(), f.path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(f.path))
	}
	return errors.Join(err, f.unlock())
}

// unlock removes the lock's file while the lock is held, as filelock wants it, and releases the lock.
func (f *File) unlock() error {
	return errors.Join(os.Remove(f.Partial()+".lock"), f.lock.Unlock())
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Write writes a whole output. If write fails, the file at path stays as it was.
func Write(path string, write func(io.Writer) error) error {
	f, err := Create(path)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		if !f.Direct() {
			err = errors.Join(err, f.Truncate(0)) // so that nothing is left
		}
		return errors.Join(err, f.Close(false))
	}
	return f.Close(true)
}

// WriteBytes is Write of data.
func WriteBytes(path string, data []byte) error {
	return Write(path, func(w io.Writer) error { _, err := w.Write(data); return err })
}
