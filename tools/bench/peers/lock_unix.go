//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// machineLock is the lock of a file that programs on the machine share. Timed work holds it exclusively, a round at a
// time, so that others needn't wait for the whole run. Without a file there is no lock.
type machineLock struct{ file *os.File }

func openLock(path string) (machineLock, error) {
	if path == "" {
		return machineLock{}, nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o666)
	if err != nil {
		return machineLock{}, fmt.Errorf("-lock: %w", err)
	}
	return machineLock{file}, nil
}

func (l machineLock) exclusively(work func() error) error {
	if l.file == nil {
		return work()
	}
	if err := l.flock(syscall.LOCK_EX); err != nil {
		return err
	}
	return errors.Join(work(), l.flock(syscall.LOCK_UN))
}

func (l machineLock) flock(how int) error {
	for {
		err := syscall.Flock(int(l.file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("flock", err)
		}
	}
}

func (l machineLock) close() {
	if l.file != nil {
		l.file.Close() //nolint:errcheck // opened to read
	}
}
