//go:build !linux && !darwin

package filelock

import (
	"errors"
	"os"
)

func lock(*os.File) error { return errors.New("filelock: no locks on this system") }
