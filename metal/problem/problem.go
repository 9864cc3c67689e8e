// Package problem checks computations against known answers. A Problem has operands, an answer in float64, the allowed
// error of each element, and buffers that show reads and writes beside the operands.
//
// A Problem knows nothing of kernels or drivers: its caller computes.
package problem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/metalrank/metalrank/metal"
)

// A Problem is a computation's operands and its answer; any implementation may do the computation.
type Problem struct {
	Name     string // "softmax 3x33"
	Operands []Operand
	Result   int // the operand that holds the answer; one with Values is replaced
	Want     []float64
	// Allowed is how far each element of the answer may be off; the functions that make problems say why.
	Allowed []float64
	FLOPs   float64 // of the computation; 0: not worth counting
}

// Operand is a buffer of a Problem.
type Operand struct {
	Name      string // "x"
	Half      bool   // f16, else f32
	Values    []float64
	Raw       []byte // instead of Values: something that is not floating point
	SizeBytes int    // of an operand that is only written: it has neither Values nor Raw
}

// Layout says how the operands of a Problem lie in buffers.
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

// guardWord is a NaN as f16, as bf16 and, doubled, as f32. No arithmetic makes a NaN with its payload.
const guardWord = 0xFFDA

func guard() []byte {
	return bytes.Repeat([]byte{guardWord & 0xFF, guardWord >> 8}, guardBytes/2)
}

// isInput says whether the operand is read; else it is written.
func (o *Operand) isInput() bool { return o.Values != nil || o.Raw != nil }

func (o *Operand) encode() []byte {
	if o.Raw != nil {
		return o.Raw
	}
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

// An AnswerError says where an answer is worst.
type AnswerError struct {
	Problem          string
	Index            int // element of the answer
	Got, Want        float64
	PercentOfAllowed float64
	Wrong, Count     int       // elements beyond the allowed error, and all elements
	Answer           []float64 // all of it, as computed
}

// Error implements error.
func (e *AnswerError) Error() string {
	return fmt.Sprintf("problem: %s: element %d is %g, want %g: %.0f%% of what is allowed; %d of %d elements are wrong",
		e.Problem, e.Index, e.Got, e.Want, e.PercentOfAllowed, e.Wrong, e.Count)
}

// Solve puts the operands into buffers of device, lets submit compute, waits, and compares. The Pending is submit's; it
// is nil where nothing was submitted. Errors: *AnswerError, submit's, and the driver's.
func (p *Problem) Solve(
	ctx context.Context, device metal.Device, layout Layout, submit func(operands []metal.Binding) (metal.Pending, error),
) (pending metal.Pending, err error) {
	bindings, free, err := p.Load(device, layout)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, free()) }()
	if pending, err = submit(bindings); err != nil {
		return nil, err
	}
	if _, err := pending.Wait(ctx); err != nil {
		return pending, err
	}
	if layout == Guarded {
		if err := p.checkGuards(bindings); err != nil {
			return pending, err
		}
	}
	result := bindings[p.Result]
	data := result.Buffer.Bytes()
	return pending, p.compare(p.Operands[p.Result].decode(data[result.OffsetBytes : len(data)-result.OffsetBytes]))
}

// Load puts each operand into a buffer of device. The caller calls free when no work uses them any more.
func (p *Problem) Load(device metal.Device, layout Layout) (operands []metal.Binding, free func() error, err error) {
	free = func() (err error) {
		for _, operand := range operands {
			err = errors.Join(err, operand.Buffer.Close())
		}
		return err
	}
	before := 0
	if layout == Guarded {
		before = guardBytes
	}
	for i := range p.Operands {
		content := p.Operands[i].encode()
		if layout == Guarded {
			content = slices.Concat(guard(), content, guard())
		}
		buffer, err := device.NewBuffer(len(content))
		if err != nil {
			return nil, nil, errors.Join(err, free())
		}
		operands = append(operands, metal.At(buffer, before))
		if layout == Guarded || p.Operands[i].isInput() {
			copy(buffer.Bytes(), content) // else it stays unwritten, and a checking driver finds reads of it
		}
	}
	return operands, free, nil
}

// checkGuards returns an error if the words around an operand have changed, or an operand that is only read.
func (p *Problem) checkGuards(operands []metal.Binding) error {
	for i := range p.Operands {
		operand, data := &p.Operands[i], operands[i].Buffer.Bytes()
		end := len(data) - guardBytes
		if !bytes.Equal(data[:guardBytes], guard()) {
			return fmt.Errorf("problem: %s: the words before %s have changed", p.Name, operand.Name)
		}
		if !bytes.Equal(data[end:], guard()) {
			return fmt.Errorf("problem: %s: the words behind %s have changed", p.Name, operand.Name)
		}
		if operand.isInput() && i != p.Result && !bytes.Equal(data[guardBytes:end], operand.encode()) {
			return fmt.Errorf("problem: %s: %s, which is only read, has changed", p.Name, operand.Name)
		}
	}
	return nil
}

// compare checks got against the answer. NaN is wrong, unless the answer is NaN: then all values that are not finite are
// right.
func (p *Problem) compare(got []float64) error {
	if len(got) != len(p.Want) {
		return fmt.Errorf("problem: %s: %d elements, want %d", p.Name, len(got), len(p.Want))
	}
	worst := AnswerError{Problem: p.Name, Count: len(got), Answer: got}
	for i, want := range p.Want {
		percent := 100 * math.Abs(got[i]-want) / p.Allowed[i]
		switch finite := got[i]-got[i] == 0; {
		case math.IsNaN(want) && !finite:
			percent = 0
		case math.IsNaN(percent):
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
