package metaltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/metalrank/metalrank/metal"
)

// A Case is a computation by a test kernel, with its answer.
type Case struct {
	Name      string // "softmax 3x33"
	Source    string // file of Files
	Kernel    string
	Constants []metal.Constant
	Operands  []Operand
	Launches  []Launch // a barrier between each two
	Result    int      // the operand that holds the answer
	Want      []float64
	// Allowed is how far each element of the answer may be off; the functions that make cases say why.
	Allowed []float64
	FLOPs   float64 // of all launches; 0: not worth counting
}

// Operand is a buffer of a Case.
type Operand struct {
	Name      string // "x"
	Half      bool   // f16, else f32
	Values    []float64
	SizeBytes int // of what the kernel writes, where Values are nil
}

// Launch is one dispatch of a Case.
type Launch struct {
	Arguments         []byte // at index 0
	Operands          []int  // by buffer index, from 1 on; -1: none
	ThreadgroupMemory []int
	Groups, Threads   metal.Size
}

// Layout says how the operands of a Case lie in buffers.
type Layout int

const (
	// Exact buffers end where their operand does, so that a driver that knows bounds finds every overrun.
	Exact Layout = iota
	// Guarded operands have guard words, which are NaN, on both sides: a read of them shows in the answer, a write
	// to them in the guards.
	Guarded
)

// guardBytes is the length of each guard: more than a tile's row, and an alignment for any type.
const guardBytes = 256

// guardWord is a NaN as f16, as bf16 and, doubled, as f32, whose payload no arithmetic makes.
const guardWord = 0xFFDA

func guard() []byte {
	return bytes.Repeat([]byte{guardWord & 0xFF, guardWord >> 8}, guardBytes/2)
}

func (o *Operand) encode() []byte {
	if o.Values == nil {
		return bytes.Repeat([]byte{0xFF}, o.SizeBytes) // NaN: an element that isn't written shows
	}
	if o.Half {
		return EncodeHalf(o.Values)
	}
	return EncodeFloat(o.Values)
}

func (o *Operand) decode(data []byte) []float64 {
	if o.Half {
		return DecodeHalf(data)
	}
	return DecodeFloat(data)
}

// An AnswerError says where a Case's answer is worst.
type AnswerError struct {
	Case             string
	Index            int // element of the answer
	Got, Want        float64
	PercentOfAllowed float64
	Wrong, Count     int // elements beyond what is allowed, of all
}

// Error implements error.
func (e *AnswerError) Error() string {
	return fmt.Sprintf("metaltest: %s: element %d is %g, want %g: %.0f%% of what is allowed; %d of %d elements are wrong",
		e.Case, e.Index, e.Got, e.Want, e.PercentOfAllowed, e.Wrong, e.Count)
}

// Run executes the case with its kernel from library, and compares. The Pending, which has ended, is returned for
// what its driver adds to it; it is nil where nothing was submitted. Errors: *AnswerError, and the driver's.
func (c *Case) Run(
	ctx context.Context, device metal.Device, library metal.Library, layout Layout,
) (pending metal.Pending, err error) {
	pipeline, err := library.Pipeline(c.Kernel, c.Constants...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pipeline.Close()) }()
	buffers, err := c.buffers(device, layout)
	defer func() {
		for _, buffer := range buffers {
			err = errors.Join(err, buffer.Close())
		}
	}()
	if err != nil {
		return nil, err
	}
	before := 0
	if layout == Guarded {
		before = guardBytes
	}
	if pending, err = c.submit(device, pipeline, buffers, before); err != nil {
		return nil, err
	}
	if _, err := pending.Wait(ctx); err != nil {
		return pending, err
	}
	if layout == Guarded {
		if err := c.checkGuards(buffers); err != nil {
			return pending, err
		}
	}
	result := buffers[c.Result].Bytes()
	return pending, c.compare(c.Operands[c.Result].decode(result[before : len(result)-before]))
}

// buffers makes one for each operand; after an error, those that there are.
func (c *Case) buffers(device metal.Device, layout Layout) ([]metal.Buffer, error) {
	var buffers []metal.Buffer
	for i := range c.Operands {
		content := c.Operands[i].encode()
		if layout == Guarded {
			content = slices.Concat(guard(), content, guard())
		}
		buffer, err := device.NewBuffer(len(content))
		if err != nil {
			return buffers, err
		}
		buffers = append(buffers, buffer)
		if layout == Guarded || c.Operands[i].Values != nil {
			copy(buffer.Bytes(), content) // else it stays as fresh as a checking driver knows it
		}
	}
	return buffers, nil
}

func (c *Case) submit(device metal.Device, pipeline metal.Pipeline, buffers []metal.Buffer, offsetBytes int) (metal.Pending, error) {
	encoder := metal.NewEncoder(device)
	for _, launch := range c.Launches {
		bindings := make([]metal.Binding, 1+len(launch.Operands))
		for i, operand := range launch.Operands {
			if operand >= 0 {
				bindings[1+i] = metal.At(buffers[operand], offsetBytes)
			}
		}
		encoder.Barrier()
		if err := encoder.Dispatch(&metal.Dispatch{
			Pipeline: pipeline, Arguments: launch.Arguments, Buffers: bindings,
			ThreadgroupMemory: launch.ThreadgroupMemory, Groups: launch.Groups, Threads: launch.Threads,
		}); err != nil {
			return nil, err
		}
	}
	return encoder.Commit()
}

// checkGuards says which operand's surroundings have changed, and that operands that are only read have not.
func (c *Case) checkGuards(buffers []metal.Buffer) error {
	for i := range c.Operands {
		operand, data := &c.Operands[i], buffers[i].Bytes()
		end := len(data) - guardBytes
		if !bytes.Equal(data[:guardBytes], guard()) {
			return fmt.Errorf("metaltest: %s: the words before %s have changed", c.Name, operand.Name)
		}
		if !bytes.Equal(data[end:], guard()) {
			return fmt.Errorf("metaltest: %s: the words behind %s have changed", c.Name, operand.Name)
		}
		if operand.Values != nil && !bytes.Equal(data[guardBytes:end], operand.encode()) {
			return fmt.Errorf("metaltest: %s: %s, which is only read, has changed", c.Name, operand.Name)
		}
	}
	return nil
}

// compare holds got to the answer. NaN is wrong.
func (c *Case) compare(got []float64) error {
	if len(got) != len(c.Want) {
		return fmt.Errorf("metaltest: %s: %d elements, want %d", c.Name, len(got), len(c.Want))
	}
	worst := AnswerError{Case: c.Name, Count: len(got)}
	for i, want := range c.Want {
		percent := 100 * math.Abs(got[i]-want) / c.Allowed[i]
		if math.IsNaN(percent) {
			percent = math.Inf(1)
		}
		if percent > 100 {
			worst.Wrong++
		}
		if percent > worst.PercentOfAllowed {
			worst.Index, worst.Got, worst.Want, worst.PercentOfAllowed = i, got[i], want, percent
		}
	}
	if worst.Wrong > 0 {
		return &worst
	}
	return nil
}
