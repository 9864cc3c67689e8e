package selftest

import (
	"slices"

	"github.com/metalrank/metalrank/metal"
)

// Watched is a device that records the names of the kernels submitted to it.
type Watched struct {
	metal.Device
	kernels []string
}

// Submit implements metal.Device. Unlike the device's own, it must not be called from several goroutines at once.
func (w *Watched) Submit(list *metal.CommandList) (metal.Pending, error) {
	for _, command := range list.Commands {
		if kernel := command.Pipeline.Info().Kernel; !slices.Contains(w.kernels, kernel) {
			w.kernels = append(w.kernels, kernel)
		}
	}
	return w.Device.Submit(list)
}

// Take returns the names of the kernels submitted since the last call, in the order of their first launches.
func (w *Watched) Take() []string {
	kernels := w.kernels
	w.kernels = nil
	return kernels
}
