// Package open picks a driver of package metal by name. Only commands, tests and package engine import it, so that all else
// stays free of drivers.
package open

import (
	"fmt"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/darwin"
	"github.com/metalrank/metalrank/metal/sim"
)

// Device opens the device that name stands for: "metal", the system's GPU, or "sim", the simulator. Errors: one that
// wraps metal.ErrNoDevice where there is none.
func Device(name string) (metal.Device, error) {
	switch name {
	case "metal":
		return darwin.Open()
	case "sim":
		return sim.Open(sim.Config{})
	}
	return nil, fmt.Errorf("%w: no driver is called %q, want \"metal\" or \"sim\"", metal.ErrNoDevice, name)
}

// Capture records the work of a device of the driver "metal" into a file that Xcode opens, until stop is called.
func Capture(device metal.Device, path string) (stop func(), err error) {
	return darwin.Capture(device, path)
}
