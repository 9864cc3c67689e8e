package gpu

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/selftest"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/weights"
)

// Session is an open device with the kernels that have been compiled for it. Backends of one model share it, and a backend
// that is opened again after a failure finds its pipelines there.
type Session struct {
	config  Config
	device  metal.Device
	library *kernels.Library
	pace    *pace
	warmth  warmth
	tuned   tuned

	mu    sync.Mutex
	users int   // guarded by mu: the opener and the open backends; the last one frees the device
	lost  error // guarded by mu: why the device can't be used any more; nil: it can
}

// OpenSession opens the device of config's driver. The caller closes it. Errors: ErrNoDevice, *metal.UnsupportedError, and the
// driver's.
func OpenSession(open Opener, config Config) (*Session, error) {
	if open == nil {
		return nil, fmt.Errorf("%w: this program has no driver for %q", ErrNoDevice, config.Driver)
	}
	device, err := open(config.Driver)
	if err != nil {
		return nil, err
	}
	info := device.Info()
	if err := info.Unsupported(); err != nil {
		return nil, errors.Join(err, device.Close())
	}
	dtype := kernels.F16
	if config.Float32 {
		dtype = kernels.F32
	}
	if info.Simulated {
		config.KeepWarm = 0
	}
	return &Session{
		config: config, device: device, library: kernels.Open(device, dtype), pace: newPace(&info), users: 1,
		warmth: warmth{device: device, keep: config.KeepWarm},
	}, nil
}

// Open puts the weights of an open checkpoint into the device's memory; the backend does not need the checkpoint
// afterwards. Errors: sizes that the kernels cannot take, weights that half precision cannot hold, and the device's.
func (s *Session) Open(checkpoint *weights.Checkpoint) (*Backend, error) {
	if err := s.acquire(); err != nil {
		return nil, err
	}
	b := newBackend(s, checkpoint)
	if err := b.load(checkpoint); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Simulated says whether the device computes slowly.
func (s *Session) Simulated() bool { return s.device.Info().Simulated }

// Lost returns the error by which the device was lost, or nil. Then only a new session can help.
func (s *Session) Lost() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// CheckLanes returns an error if the device's lanes hold a matrix's elements otherwise than kernels expect, which makes
// every product wrong.
func (s *Session) CheckLanes(ctx context.Context) error {
	other, err := selftest.Lanes(ctx, s.device)
	if err == nil && other != nil {
		err = fmt.Errorf("its lanes hold other elements of a matrix than kernels expect, such as %q", other[0])
	}
	return err
}

// Close frees the device once all backends are closed. It is called once.
func (s *Session) Close() error { return s.release() }

func (s *Session) acquire() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost != nil {
		return s.lost
	}
	s.users++
	return nil
}

func (s *Session) release() error {
	s.mu.Lock()
	s.users--
	last := s.users == 0
	s.mu.Unlock()
	if !last {
		return nil
	}
	return errors.Join(s.library.Close(), s.device.Close())
}

// note remembers that err says the device is lost.
func (s *Session) note(err error) {
	if failure, ok := errors.AsType[*metal.ExecError](err); ok && failure.Lost {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lost = err
	}
}
