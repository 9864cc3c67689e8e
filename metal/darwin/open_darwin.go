package darwin

import (
	"fmt"
	"os"

	"github.com/metalrank/metalrank/metal"
)

// Open returns the system's default device. Errors: one that wraps metal.ErrNoDevice.
//
// Where the environment names a file in METALRANK_METALLIB, every library is loaded from it.
func Open() (metal.Device, error) {
	n, err := openNative()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", metal.ErrNoDevice, err)
	}
	return newDevice(n, os.Getenv(metallibVariable)), nil
}
