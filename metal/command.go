package metal

import (
	"fmt"
	"slices"
)

// Limits of one dispatch, the same on every device.
const (
	// MaxBuffers is the number of buffer indices that a dispatch may use, its arguments included. Metal has 31; a
	// kernel that needs more than 16 is doing too much.
	MaxBuffers = 16
	// MaxThreadgroupArguments is the number of threadgroup pointers that a kernel may take as parameters.
	MaxThreadgroupArguments = 4
	// MaxArgumentSizeBytes is the most that setBytes takes (Metal Feature Set Tables: 4 KB).
	MaxArgumentSizeBytes = 4096
)

// Size is an extent in up to three dimensions; a zero Y or Z counts as 1.
type Size struct{ X, Y, Z uint32 }

// Count returns X·Y·Z.
func (s Size) Count() uint64 { return uint64(s.X) * uint64(max(s.Y, 1)) * uint64(max(s.Z, 1)) }

// Binding is a buffer from an offset on; a nil Buffer leaves the index unset.
type Binding struct {
	Buffer      Buffer
	OffsetBytes int
}

// At binds buffer from an offset on.
func At(buffer Buffer, offsetBytes int) Binding {
	return Binding{Buffer: buffer, OffsetBytes: offsetBytes}
}

// Dispatch is one run of a kernel over Groups threadgroups of Threads threads.
type Dispatch struct {
	Pipeline Pipeline
	// Arguments are copied when the dispatch is recorded and bound at ArgumentsIndex, as a `constant` struct.
	// Their layout is the kernel's; empty: none.
	Arguments      []byte
	ArgumentsIndex int
	Buffers        []Binding // by buffer index; nil at ArgumentsIndex
	// ThreadgroupMemory is the size in bytes of each threadgroup pointer that the kernel takes; multiples of 16.
	ThreadgroupMemory []int
	Groups            Size // threadgroups in the grid
	Threads           Size // threads in a threadgroup
}

// Command is a recorded Dispatch. It is flat, so that a list of commands is passed to a driver in one call.
type Command struct {
	Pipeline          Pipeline
	Buffers           [MaxBuffers]Binding
	ThreadgroupMemory [MaxThreadgroupArguments]uint32 // bytes
	ArgumentsOffset   uint32                          // into CommandList.Arguments
	ArgumentsSize     uint32                          // bytes; 0: no arguments
	ArgumentsIndex    uint32
	Groups, Threads   Size // no zero in them
	Barrier           bool // earlier dispatches must be complete and their writes visible first
}

// CommandList is the argument of Device.Submit. An Encoder makes it.
type CommandList struct {
	Commands  []Command
	Arguments []byte // of all commands, each 16-byte aligned
}

// Encoder records dispatches and submits them in one go. Dispatches without a Barrier between them may overlap.
// Its zero value is not usable; use NewEncoder. An Encoder belongs to one goroutine at a time and is reused without
// allocating.
type Encoder struct {
	device  Device
	limits  Info
	list    CommandList
	barrier bool
}

// NewEncoder returns an empty Encoder for device.
func NewEncoder(device Device) *Encoder { return &Encoder{device: device, limits: device.Info()} }

// Barrier makes every later dispatch wait for every earlier one, and see its writes.
func (e *Encoder) Barrier() { e.barrier = len(e.list.Commands) > 0 }

// Dispatch records one dispatch. Errors: *LimitError; an error leaves the list as it was.
func (e *Encoder) Dispatch(d *Dispatch) error {
	if err := e.check(d); err != nil {
		return err
	}
	command := Command{
		Pipeline: d.Pipeline, ArgumentsIndex: uint32(d.ArgumentsIndex), ArgumentsSize: uint32(len(d.Arguments)),
		Groups: atLeastOne(d.Groups), Threads: atLeastOne(d.Threads), Barrier: e.barrier,
	}
	copy(command.Buffers[:], d.Buffers)
	for i, size := range d.ThreadgroupMemory {
		command.ThreadgroupMemory[i] = uint32(size)
	}
	if len(d.Arguments) > 0 {
		aligned := (len(e.list.Arguments) + 15) &^ 15
		e.list.Arguments = slices.Grow(e.list.Arguments, aligned-len(e.list.Arguments)+len(d.Arguments))[:aligned]
		command.ArgumentsOffset = uint32(aligned)
		e.list.Arguments = append(e.list.Arguments, d.Arguments...)
	}
	e.list.Commands = append(e.list.Commands, command)
	e.barrier = false
	return nil
}

// Recorded returns the commands recorded since the last Commit or Reset. The Encoder owns the slice; it is valid until
// the next call.
func (e *Encoder) Recorded() []Command { return e.list.Commands }

// Commit submits the recorded list and empties the Encoder.
func (e *Encoder) Commit() (Pending, error) {
	pending, err := e.device.Submit(&e.list)
	e.Reset()
	return pending, err
}

// Reset drops the recorded list and keeps its memory for reuse.
func (e *Encoder) Reset() {
	clear(e.list.Commands) // drops references to buffers and pipelines
	e.list.Commands, e.list.Arguments, e.barrier = e.list.Commands[:0], e.list.Arguments[:0], false
}

func atLeastOne(s Size) Size { return Size{max(s.X, 1), max(s.Y, 1), max(s.Z, 1)} }

// check returns an error if d exceeds the limits of the pipeline or the device.
func (e *Encoder) check(d *Dispatch) error {
	if d.Pipeline == nil {
		return fmt.Errorf("metal: dispatch without a pipeline")
	}
	info := d.Pipeline.Info()
	memory := info.ThreadgroupMemoryBytes
	for i, size := range d.ThreadgroupMemory {
		if size <= 0 || size%16 != 0 {
			return fmt.Errorf("metal: %s: threadgroup memory %d is %d bytes, want a positive multiple of 16", info.Kernel, i, size)
		}
		memory += size
	}
	limit := func(what string, got, most uint64) error {
		if got > most {
			return &LimitError{Kernel: info.Kernel, What: what, Got: got, Limit: most}
		}
		return nil
	}
	for _, err := range []error{
		limit("threads in a threadgroup", d.Threads.Count(), uint64(info.MaxThreads)),
		limit("bytes of threadgroup memory", uint64(memory), uint64(e.limits.MaxThreadgroupMemoryBytes)),
		limit("bytes of arguments", uint64(len(d.Arguments)), MaxArgumentSizeBytes),
		limit("buffers", uint64(max(len(d.Buffers), d.ArgumentsIndex+1)), MaxBuffers),
		limit("threadgroup arguments", uint64(len(d.ThreadgroupMemory)), MaxThreadgroupArguments),
	} {
		if err != nil {
			return err
		}
	}
	if d.Groups.X == 0 || d.Threads.X == 0 {
		return fmt.Errorf("metal: %s: empty grid: %d groups of %d threads", info.Kernel, d.Groups.X, d.Threads.X)
	}
	return e.checkBuffers(d, info.Kernel)
}

func (e *Encoder) checkBuffers(d *Dispatch, kernel string) error {
	for i, b := range d.Buffers {
		if b.Buffer == nil {
			continue
		}
		if len(d.Arguments) > 0 && i == d.ArgumentsIndex {
			return fmt.Errorf("metal: %s: buffer %d and the arguments have the same index", kernel, i)
		}
		size := len(b.Buffer.Bytes())
		if size == 0 { // a buffer has at least one byte until it is closed
			return fmt.Errorf("metal: %s: buffer %d: %w", kernel, i, ErrClosed)
		}
		if b.OffsetBytes < 0 || b.OffsetBytes >= size {
			return &LimitError{Kernel: kernel, What: fmt.Sprintf("bytes into buffer %d", i), Got: uint64(b.OffsetBytes), Limit: uint64(size - 1)}
		}
	}
	return nil
}
