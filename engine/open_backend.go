package engine

import (
	"errors"
	"runtime"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cpu"
	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/engine/reference"
	"github.com/metalrank/metalrank/metal/open"
)

// openBackend opens the backend that Config.Backend names.
func (e *Engine) openBackend() (backend.Backend, error) {
	b, err := e.chooseBackend()
	if err == nil && e.config.wrap != nil {
		return e.config.wrap(b)
	}
	return b, err
}

// chooseBackend opens for "auto" Metal where there is a device, and the CPU elsewhere. It never chooses the simulator,
// which serves to check kernels.
func (e *Engine) chooseBackend() (backend.Backend, error) {
	switch name := e.config.Backend; name {
	case BackendMetal, BackendSim:
		return e.openGPU(name)
	case BackendReference:
		return opened(reference.New(e.checkpoint))
	case BackendCPU:
		return e.openCPU()
	}
	if runtime.GOOS == "darwin" {
		b, err := e.openGPU(BackendMetal)
		if !errors.Is(err, gpu.ErrNoDevice) {
			return b, err
		}
	}
	return e.openCPU()
}

func (e *Engine) openCPU() (backend.Backend, error) {
	if err := e.config.checkPrecision(BackendCPU); err != nil {
		return nil, err
	}
	return opened(cpu.New(e.checkpoint, cpu.Options{Precision: cpu.Precision(e.config.Precision), Workers: e.workers()}))
}

// workers is each replica's part of the cores.
func (e *Engine) workers() int { return max(runtime.GOMAXPROCS(0)/e.config.Replicas, 1) }

func (e *Engine) openGPU(driver string) (backend.Backend, error) {
	if err := e.config.checkPrecision(driver); err != nil {
		return nil, err
	}
	opener := e.config.OpenDevice
	if opener == nil {
		opener = open.Device
	}
	return opened(gpu.Open(opener, e.checkpoint, gpu.Config{
		Driver: driver, Float32: e.config.Precision == PrecisionFP32, MaxBatchTokens: e.config.MaxBatchTokens,
	}))
}

// opened keeps a nil pointer from becoming an interface that is not nil.
func opened[B backend.Backend](b B, err error) (backend.Backend, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}
