//go:build !darwin

package darwin

import (
	"fmt"
	"runtime"

	"github.com/metalrank/metalrank/metal"
)

// Open returns an error that wraps metal.ErrNoDevice: only macOS has Metal.
func Open() (metal.Device, error) {
	return nil, fmt.Errorf("%w: Metal needs macOS, this is %s", metal.ErrNoDevice, runtime.GOOS)
}
