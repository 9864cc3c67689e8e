//go:build cgo

package darwin

import (
	"context"
	"errors"
	"fmt"
	"runtime/cgo"
	"sync"
	"testing"
	"unsafe"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/metaltest"
	"github.com/metalrank/metalrank/metal/sim"
)

// TestConformance runs the suite that every driver must pass on the Go half of this driver: the simulator replaces
// Metal below the interface native. On a Mac, TestConformanceOfMetal runs it on the real Metal.
func TestConformance(t *testing.T) {
	metaltest.Run(t, func(t testing.TB) metal.Device {
		t.Helper()
		device, err := sim.Open(sim.Config{})
		if errors.Is(err, metal.ErrNoDevice) {
			skip(t, fmt.Sprintf("no simulator: %v", err))
		}
		if err != nil {
			t.Fatal(err)
		}
		return newDevice(&simulated{device: device, objects: map[uintptr]*simulatedObject{}}, "")
	})
}

// simulated is a native over the simulator.
type simulated struct {
	device *sim.Device

	mu      sync.Mutex
	objects map[uintptr]*simulatedObject // guarded by mu: by address, all objects not yet released
}

// simulatedObject stands for an Objective-C object; it owns an object of the simulator.
type simulatedObject struct {
	native *simulated
	owned  interface{ Close() error }
}

func (s *simulated) own(owned interface{ Close() error }) *simulatedObject {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &simulatedObject{native: s, owned: owned}
	s.objects[uintptr(o.Ptr())] = o
	return o
}

func (o *simulatedObject) Ptr() unsafe.Pointer { return unsafe.Pointer(o) }

func (o *simulatedObject) Release() {
	s := o.native
	s.mu.Lock()
	_, owned := s.objects[uintptr(o.Ptr())]
	delete(s.objects, uintptr(o.Ptr()))
	s.mu.Unlock()
	if !owned {
		panic("BUG: an object was released twice")
	}
	mustNot(o.owned.Close())
}

// mustNot panics on an error of the simulator that native has no way to return.
func mustNot(err error) {
	if err != nil {
		panic("BUG: " + err.Error())
	}
}

func (s *simulated) Release() { mustNot(s.device.Close()) }

func (s *simulated) info() metal.Info { return s.device.Info() }

func (s *simulated) newBuffer(sizeBytes int) (object, unsafe.Pointer, error) {
	b, err := s.device.NewBuffer(sizeBytes)
	if err != nil {
		return nil, nil, &nativeError{text: err.Error()}
	}
	return s.own(b), unsafe.Pointer(&b.Bytes()[0]), nil
}

func (s *simulated) newBufferNoCopy(data []byte) (object, error) {
	b, err := s.device.NewBufferNoCopy(data)
	if err != nil {
		return nil, &nativeError{text: err.Error()}
	}
	return s.own(b), nil
}

func (s *simulated) keepResident(keep bool) bool { return s.device.KeepResident(keep) }

func (s *simulated) loadLibrary([]byte) (object, error) {
	return nil, &nativeError{text: "the simulator has no use for a metallib"}
}

func (s *simulated) compileLibrary(text string) (object, error) {
	l, err := s.device.NewLibrary(metal.Source{Text: text})
	if err != nil {
		return nil, asNSError(err)
	}
	return s.own(l), nil
}

func (s *simulated) newPipeline(
	from object, kernel string, constants []metal.Constant,
) (object, metal.PipelineInfo, error) {
	p, err := s.at(uintptr(from.Ptr())).(metal.Library).Pipeline(kernel, constants...)
	if err != nil {
		return nil, metal.PipelineInfo{}, asNSError(err)
	}
	return s.own(p), p.Info(), nil
}

// asNSError makes Metal's error of a compiler's error: the log, with a place as clang writes it.
func asNSError(err error) error {
	failure, ok := errors.AsType[*metal.CompileError](err)
	if !ok {
		return &nativeError{text: err.Error()}
	}
	if failure.File == "" {
		return &nativeError{text: failure.Log}
	}
	return &nativeError{text: fmt.Sprintf("%s:%d:1: error: %s", failure.File, failure.Line, failure.Log)}
}

// at returns the simulator's object that the object at an address owns.
func (s *simulated) at(address uintptr) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.objects[address]
	if o == nil {
		panic(fmt.Sprintf("BUG: nothing lives at %#x", address))
	}
	return o.owned
}

func (s *simulated) submit(commands []command, arguments []byte, list cgo.Handle) error {
	l := &metal.CommandList{Arguments: arguments}
	for i := range commands {
		l.Commands = append(l.Commands, s.unflatten(&commands[i]))
	}
	pending, err := s.device.Submit(l)
	if err != nil {
		return &nativeError{text: err.Error()}
	}
	go func() {
		timing, err := pending.Wait(context.Background())
		if failure, ok := errors.AsType[*metal.ExecError](err); ok {
			err = &nativeError{code: failure.Code, text: failure.Reason}
		}
		completed(list, err, timing.Start.Seconds(), timing.End.Seconds())
	}()
	return nil
}

func (s *simulated) unflatten(c *command) metal.Command {
	to := metal.Command{
		Pipeline:          s.at(c.pipeline).(metal.Pipeline),
		ThreadgroupMemory: c.threadgroupMemory,
		ArgumentsOffset:   c.argumentsOffset,
		ArgumentsSize:     c.argumentsSize,
		ArgumentsIndex:    c.argumentsIndex,
		Groups:            metal.Size{X: c.groups[0], Y: c.groups[1], Z: c.groups[2]},
		Threads:           metal.Size{X: c.threads[0], Y: c.threads[1], Z: c.threads[2]},
		Barrier:           c.barrier != 0,
	}
	for i, b := range c.buffers {
		if b.buffer != 0 {
			to.Buffers[i] = metal.At(s.at(b.buffer).(metal.Buffer), int(b.offset))
		}
	}
	return to
}
