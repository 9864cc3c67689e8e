package engine

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/engine/reference"
	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
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
	if runtime.GOOS == "darwin" && e.config.OpenDevice != nil {
		b, err := e.openGPU(BackendMetal)
		if !errors.Is(err, metal.ErrNoDevice) {
			return b, err
		}
	}
	return reference.New(e.checkpoint)
}

func (e *Engine) openGPU(name string) (backend.Backend, error) {
	if e.config.OpenDevice == nil {
		return nil, fmt.Errorf("engine: Backend is %q, but Config.OpenDevice is not set", name)
	}
	dtype := kernels.F16
	if e.config.Precision == PrecisionF32 {
		dtype = kernels.F32
	}
	device, err := e.config.OpenDevice(name)
	if err != nil {
		return nil, err
	}
	return gpu.New(device, e.checkpoint, gpu.Config{Name: name, DType: dtype, MaxBatchTokens: e.config.MaxBatchTokens})
}
