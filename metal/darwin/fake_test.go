package darwin

import (
	"fmt"
	"runtime/cgo"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"github.com/metalrank/metalrank/metal"
)

// fakeMetal is a native that counts calls, one for each call that the shim would have got. It checks that each object
// is released once, and not while a list uses it. Its command buffers end when the test ends them.
type fakeMetal struct {
	t      testing.TB
	refuse map[string]error // by method: its error; a method that returns nil on failure does so for any error
	depth  int              // command buffers that may be in flight before submit has to wait; 0: any number

	// atOnce ends lists inside submit, and doesn't keep them. Nothing is allocated then.
	atOnce bool

	mu       sync.Mutex
	room     sync.Cond
	entered  int                     // guarded by mu, as all below: calls of submit that have not returned
	objects  map[uintptr]*fakeObject // by address: all that were made
	flying   []fakeList              // in the order of submit
	calls    map[string]int          // by method
	released int                     // of the device itself
}

type fakeObject struct {
	metal    *fakeMetal
	kind     string
	text     string // its source, metallib or kernel name
	memory   []byte
	releases int // guarded by metal.mu
}

// fakeList is a committed command buffer.
type fakeList struct {
	handle    cgo.Handle
	commands  []command
	arguments []byte
}

func newFake(t testing.TB) *fakeMetal {
	t.Helper()
	f := &fakeMetal{t: t, refuse: map[string]error{}, objects: map[uintptr]*fakeObject{}, calls: map[string]int{}}
	f.room.L = &f.mu
	return f
}

// open returns a device over the fake; at the test's end it is closed, and every object must have been released once.
func (f *fakeMetal) open(metallibPath string) *device {
	d := newDevice(f, metallibPath)
	f.t.Cleanup(func() {
		f.endAll()
		if err := d.Close(); err != nil {
			f.t.Errorf("Close: %v", err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, o := range f.objects {
			if o.releases != 1 {
				f.t.Errorf("a %s was released %d times, want once", o.kind, o.releases)
			}
		}
		if f.released != 1 {
			f.t.Errorf("the device was released %d times, want once", f.released)
		}
	})
	return d
}

func (o *fakeObject) Ptr() unsafe.Pointer { return unsafe.Pointer(o) }

func (o *fakeObject) Release() {
	o.metal.mu.Lock()
	defer o.metal.mu.Unlock()
	o.releases++
	for _, list := range o.metal.flying {
		if list.uses(o) {
			o.metal.t.Errorf("a %s was released while a list uses it", o.kind)
		}
	}
}

func (l fakeList) uses(o *fakeObject) bool {
	address := uintptr(unsafe.Pointer(o))
	return slices.ContainsFunc(l.commands, func(c command) bool {
		return c.pipeline == address ||
			slices.ContainsFunc(c.buffers[:], func(b binding) bool { return b.buffer == address })
	})
}

func (f *fakeMetal) make(kind, text string, memory []byte) *fakeObject {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := &fakeObject{metal: f, kind: kind, text: text, memory: memory}
	f.objects[uintptr(unsafe.Pointer(o))] = o
	return o
}

// called counts a call, and returns the error that the test wants from it.
func (f *fakeMetal) called(method string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.released > 0 {
		f.t.Errorf("%s was called on a released device", method)
	}
	f.calls[method]++
	return f.refuse[method]
}

func (f *fakeMetal) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.released++
	if len(f.flying) > 0 {
		f.t.Errorf("the device was released with %d lists in flight", len(f.flying))
	}
}

func (f *fakeMetal) info() metal.Info {
	return metal.Info{
		Name: "fake", Families: []string{"apple7"}, SIMDWidth: 32, MaxThreadsPerGroup: 1024,
		MaxThreadgroupMemoryBytes: 32 << 10, MaxBufferSizeBytes: 1 << 20, PageSizeBytes: fakePage, UnifiedMemory: true,
	}
}

const fakePage = 4096

func (f *fakeMetal) newBuffer(sizeBytes int) (object, unsafe.Pointer, error) {
	if err := f.called("newBuffer"); err != nil {
		return nil, nil, err
	}
	o := f.make("buffer", "", make([]byte, sizeBytes))
	if f.called("contents") != nil {
		return o, nil, nil //nolint:nilerr // Metal tells it by no memory
	}
	return o, unsafe.Pointer(&o.memory[0]), nil
}

func (f *fakeMetal) newBufferNoCopy(data []byte) (object, error) {
	if err := f.called("newBufferNoCopy"); err != nil {
		return nil, err
	}
	return f.make("buffer", "", data), nil
}

func (f *fakeMetal) keepResident(keep bool) bool {
	return f.called(fmt.Sprint("keepResident ", keep)) == nil
}

func (f *fakeMetal) loadLibrary(metallib []byte) (object, error) {
	if err := f.called("loadLibrary"); err != nil {
		return nil, err
	}
	return f.make("library", string(metallib), nil), nil
}

func (f *fakeMetal) compileLibrary(text string) (object, error) {
	if err := f.called("compileLibrary"); err != nil {
		return nil, err
	}
	return f.make("library", text, nil), nil
}

func (f *fakeMetal) newPipeline(
	library object, kernel string, _ []metal.Constant,
) (object, metal.PipelineInfo, error) {
	if err := f.called("newPipeline"); err != nil {
		return nil, metal.PipelineInfo{}, err
	}
	if from := (*fakeObject)(library.Ptr()); from.kind != "library" || from.releases > 0 {
		f.t.Errorf("a pipeline from a %s released %d times", from.kind, from.releases)
	}
	info := metal.PipelineInfo{MaxThreads: 1024, SIMDWidth: 32, ThreadgroupMemoryBytes: 128}
	return f.make("pipeline", kernel, nil), info, nil
}

func (f *fakeMetal) submit(commands []command, arguments []byte, list cgo.Handle) error {
	if err := f.called("submit"); err != nil {
		return err
	}
	if f.atOnce {
		completed(list, nil, 1, 2)
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entered++
	defer func() { f.entered-- }()
	if f.entered > 1 {
		f.t.Error("two lists are being encoded at once: which one runs first is left to chance")
	}
	for f.depth > 0 && len(f.flying) >= f.depth {
		f.room.Wait()
	}
	f.flying = append(f.flying, fakeList{list, slices.Clone(commands), slices.Clone(arguments)})
	return nil
}

// endList ends the i-th list in flight; it says whether there is one.
func (f *fakeMetal) endList(i int, err error, start, end float64) bool {
	f.mu.Lock()
	if i >= len(f.flying) {
		f.mu.Unlock()
		return false
	}
	list := f.flying[i]
	for _, c := range list.commands {
		f.checkAlive(c.pipeline, "pipeline")
		for _, b := range c.buffers {
			if b.buffer != 0 {
				f.checkAlive(b.buffer, "buffer")
			}
		}
	}
	f.flying = slices.Delete(f.flying, i, i+1)
	f.room.Broadcast()
	f.mu.Unlock()
	completed(list.handle, err, start, end)
	return true
}

func (f *fakeMetal) endAll() {
	for f.endList(0, nil, 1, 2) {
	}
}

// checkAlive is called with mu held.
func (f *fakeMetal) checkAlive(address uintptr, kind string) {
	switch o := f.objects[address]; {
	case o == nil || o.kind != kind:
		f.t.Errorf("a list names %#x, which is no %s", address, kind)
	case o.releases > 0:
		f.t.Errorf("a list used a released %s", kind)
	}
}

// count returns how often a method was called.
func (f *fakeMetal) count(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// releases returns how often an object was released.
func (f *fakeMetal) releases(o object) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.objects[uintptr(o.Ptr())].releases
}

func (f *fakeMetal) inFlight() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.flying)
}
