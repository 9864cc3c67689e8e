package sim

import "fmt"

// Kind is the kind of a finding.
type Kind string

// The kinds of findings. Those after Shift end their dispatch: Pending.Wait then returns a *metal.ExecError. Those of
// the last block are noticed without checked mode, too.
const (
	// Uninitialised is a read of device memory that still holds the fill pattern from when it was allocated or
	// poisoned, or of threadgroup memory that no thread of the group has written.
	Uninitialised Kind = "uninitialised"
	// Race is an access that nothing orders with another one to the same byte, where one of them writes and not
	// both are atomic: by threads of a threadgroup with no barrier between that names the memory, by two
	// threadgroups of a dispatch, by two dispatches with no Barrier between.
	Race Kind = "race"
	// Shift is one by a negative amount, or by the type's width or more. (Metal takes it modulo the width.)
	Shift Kind = "shift"

	// ReadOnly is a write to memory of the caller's (Device.NewBufferNoCopy), or to `constant` memory.
	ReadOnly Kind = "read-only memory"
	// Misaligned is an address that its type's alignment does not divide.
	Misaligned Kind = "misaligned"
	// ArrayIndex is an index outside an array of a size that the compiler knows.
	ArrayIndex Kind = "array index"

	// OutOfBounds is an access outside every buffer, from its binding's offset to its end, and outside every
	// threadgroup variable and argument. Without checked mode it is noticed outside all memory of the device only.
	OutOfBounds Kind = "out of bounds"
	// DivisionByZero is a division of an integer by zero.
	DivisionByZero Kind = "division by zero"
	// Divergence is a barrier that not all threads of a threadgroup reach together, or a SIMD-group function that not
	// all lanes do.
	Divergence Kind = "divergence"
	// UnsetBuffer is an access through a buffer index that nothing was bound to.
	UnsetBuffer Kind = "unset buffer"
	// StackOverflow is a thread that needs more memory for its own variables than its stack holds.
	StackOverflow Kind = "stack overflow"
	// Fault is an access to no memory at all.
	Fault Kind = "fault"
)

// Indices of Finding.Buffer that are no buffer's.
const (
	ThreadgroupMemory = -1
	NoBuffer          = -2
)

// Finding is a mistake of a kernel, found in checked mode. There is one for each kind and line of a dispatch; its other
// fields are those of the first occurrence.
type Finding struct {
	Kind       Kind
	Kernel     string
	File       string // of the kernel's source; empty: not known
	Line       int
	Thread     int       // in its threadgroup: x + y·width + z·width·height
	Group      [3]uint32 // position of the threadgroup in the grid
	Buffer     int       // index of the binding, or ThreadgroupMemory or NoBuffer
	ByteOffset int64     // into the binding, from its offset on, or into the threadgroup variable
	Message    string    // describes the access, and in a race, the other one
	Count      uint64    // how often
}

// String tells all, as "softmax.metal:31: race: kernel softmax_f32, threadgroup (0,0,0), thread 5: writes …".
func (f Finding) String() string {
	times := ""
	if f.Count > 1 {
		times = fmt.Sprintf(" (%d times)", f.Count)
	}
	return fmt.Sprintf("%s:%d: %s: kernel %s, threadgroup (%d,%d,%d), thread %d: %s%s",
		f.File, f.Line, f.Kind, f.Kernel, f.Group[0], f.Group[1], f.Group[2], f.Thread, f.Message, times)
}

// merge puts together findings of the same kind and line: the compiler may have made several accesses of one.
func merge(findings []Finding) []Finding {
	type place struct {
		kind Kind
		file string
		line int
	}
	first := map[place]int{}
	merged := findings[:0]
	for _, f := range findings {
		at := place{f.Kind, f.File, f.Line}
		if i, ok := first[at]; ok && f.Line > 0 {
			merged[i].Count += f.Count
			continue
		}
		first[at] = len(merged)
		merged = append(merged, f)
	}
	return merged
}
