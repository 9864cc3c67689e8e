//go:build !darwin

package darwin

import (
	"fmt"
	"runtime"

	"github.com/metalrank/metalrank/metal"
)

// Capture returns an error that wraps metal.ErrNoDevice: only macOS has Metal.
func Capture(metal.Device, string) (stop func(), err error) {
	return nil, fmt.Errorf("%w: Metal needs macOS, this is %s", metal.ErrNoDevice, runtime.GOOS)
}
