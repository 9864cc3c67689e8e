//go:build !unix

package main

import "errors"

// machineLock is a lock that programs on the machine share: this system has none.
type machineLock struct{}

func openLock(path string) (machineLock, error) {
	if path != "" {
		return machineLock{}, errors.New("-lock: not on this system")
	}
	return machineLock{}, nil
}

func (machineLock) exclusively(work func() error) error { return work() }

func (machineLock) close() {}
