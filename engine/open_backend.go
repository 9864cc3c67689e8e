package engine

import (
	"errors"
	"runtime"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/engine/reference"
)

// openBackend opens what Config.Backend names. "auto" is Metal where there is a device, and the CPU elsewhere: the
// simulator is never chosen, as it is there to check kernels.
func (e *Engine) openBackend() (backend.Backend, error) {
	switch name := e.config.Backend; name {
	case BackendMetal, BackendSim:
		return e.openGPU(name)
	case BackendReference:
		return reference.New(e.checkpoint)
	}
	if runtime.GOOS == "darwin" {
		b, err := e.openGPU(BackendMetal)
		if !errors.Is(err, gpu.ErrNoDevice) {
			return b, err
		}
	}
	return reference.New(e.checkpoint)
}

func (e *Engine) openGPU(driver string) (backend.Backend, error) {
	b, err := gpu.Open(e.config.OpenDevice, e.checkpoint, gpu.Config{
		Driver: driver, Float32: e.config.Precision == PrecisionF32, MaxBatchTokens: e.config.MaxBatchTokens,
	})
	if err != nil {
		return nil, err // a nil *gpu.Backend would be a backend
	}
	return b, nil
}
