package engine

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cpu"
	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/engine/reference"
	"github.com/metalrank/metalrank/metal/open"
)

// ownGPU is the part of a GPU's state that an engine keeps while backends are closed and opened.
type ownGPU struct {
	opening sync.Mutex   // held for long
	session *gpu.Session // guarded by opening; nil: none
	check   *selfCheck   // guarded by opening; nil: not made yet

	doubtful sync.Once // OnDoubt is called

	mu     sync.Mutex
	failed error // guarded by mu: why backend "auto" is the CPU from now on; nil: it isn't
	told   bool  // guarded by mu: OnFallback was called
}

// giveUp makes "auto" the CPU at the next open.
func (g *ownGPU) giveUp(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed == nil {
		g.failed = err
	}
}

// failure returns why "auto" is the CPU.
func (g *ownGPU) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed
}

func (g *ownGPU) close() error {
	g.opening.Lock()
	defer g.opening.Unlock()
	if g.session == nil {
		return nil
	}
	session := g.session
	g.session = nil
	return session.Close()
}

// openBackend opens the backend that Config.Backend names.
func (e *Engine) openBackend(ctx context.Context) (backend.Backend, error) {
	b, err := e.chooseBackend(ctx)
	if err == nil && e.config.wrap != nil {
		b, err = e.config.wrap(b)
	}
	if err != nil {
		return nil, err
	}
	info := b.Info()
	e.backendInfo.Store(&info)
	return b, nil
}

func (e *Engine) chooseBackend(ctx context.Context) (backend.Backend, error) {
	switch name := e.config.Backend; name {
	case BackendMetal, BackendSim:
		return e.openGPU(ctx, name)
	case BackendReference:
		return opened(reference.New(e.checkpoint))
	case BackendCPU:
		return e.openCPU(e.config.Precision)
	}
	return e.openBest(ctx)
}

// openBest opens Metal where there is a device that computes as the CPU does, and the CPU elsewhere. It never chooses the
// simulator, which serves to check kernels.
func (e *Engine) openBest(ctx context.Context) (backend.Backend, error) {
	if !e.triesGPU() {
		return e.openCPU(e.config.Precision)
	}
	if e.gpu.failure() == nil {
		b, err := e.openGPU(ctx, BackendMetal)
		if err == nil || e.isModels(err) || ctx.Err() != nil {
			return b, err
		}
		e.gpu.giveUp(err)
	}
	precision := e.config.Precision
	if precision == PrecisionFP16 { // the CPU has none; fp32 is more exact
		precision = PrecisionFP32
	}
	b, err := e.openCPU(precision)
	if err == nil {
		e.tellFallback()
	}
	return b, err
}

// triesGPU says whether Config.Backend is "auto" on a system with Metal, or with a driver of the caller's.
func (e *Engine) triesGPU() bool {
	auto := e.config.Backend == "" || e.config.Backend == BackendAuto
	return auto && (runtime.GOOS == "darwin" || e.config.OpenDevice != nil)
}

// isModels says whether an error of the GPU is one of the configuration or of the weights, which the CPU has, too.
func (e *Engine) isModels(err error) bool {
	if _, ok := errors.AsType[*ConfigError](err); ok {
		return true
	}
	bad, ok := errors.AsType[*NonFiniteError](err)
	return ok && bad.Tensor != ""
}

// tellFallback calls OnFallback, the first time.
func (e *Engine) tellFallback() {
	e.gpu.mu.Lock()
	again, why := e.gpu.told, e.gpu.failed
	e.gpu.told = true
	e.gpu.mu.Unlock()
	if tell := e.config.OnFallback; tell != nil && !again {
		tell(why)
	}
}

func (e *Engine) openCPU(precision string) (backend.Backend, error) {
	if err := e.config.checkPrecision(BackendCPU); err != nil && precision == e.config.Precision {
		return nil, err
	}
	return opened(cpu.New(e.checkpoint, cpu.Options{Precision: cpu.Precision(precision), Workers: e.workers()}))
}

// workers is each replica's part of the cores.
func (e *Engine) workers() int { return max(runtime.GOMAXPROCS(0)/e.config.Replicas, 1) }

// opener is OpenDevice, or its default.
func (c *Config) opener() gpu.Opener {
	if c.OpenDevice != nil {
		return c.OpenDevice
	}
	return open.Device
}

// opened keeps a nil pointer from becoming an interface that is not nil.
func opened[B backend.Backend](b B, err error) (backend.Backend, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}
