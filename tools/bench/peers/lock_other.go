//go:build !unix

package main

import "errors"

// machineLock is a file whose lock others who use the machine respect: there is none on this system.
type machineLock struct{}

func openLock(path string) (machineLock, error) {
	if path != "" {
		return machineLock{}, errors.New("-lock: not on this system")
	}
	return machineLock{}, nil
}

func (machineLock) exclusively(work func() error) error { return work() }

func (machineLock) close() {}
