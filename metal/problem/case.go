package problem

import (
	"context"
	"errors"

	"github.com/metalrank/metalrank/metal"
)

// A Case is a Problem for one kernel.
type Case struct {
	Problem
	Source    string // the file that has the kernel
	Kernel    string
	Constants []metal.Constant
	Launches  []Launch // a barrier between each two
}

// Launch is one dispatch of a Case.
type Launch struct {
	Arguments         []byte // at index 0
	Operands          []int  // by buffer index, from 1 on; -1: none
	ThreadgroupMemory []int
	Groups, Threads   metal.Size
}

// Run executes the case with its kernel from library, and compares. It returns the Pending, which has ended, because
// a driver may add results of its own to it; it is nil where nothing was submitted. Errors: *AnswerError, and the
// driver's.
func (c *Case) Run(
	ctx context.Context, device metal.Device, library metal.Library, layout Layout,
) (pending metal.Pending, err error) {
	pipeline, err := library.Pipeline(c.Kernel, c.Constants...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pipeline.Close()) }()
	return c.Solve(ctx, device, layout, func(operands []metal.Binding) (metal.Pending, error) {
		return c.submit(device, pipeline, operands)
	})
}

func (c *Case) submit(device metal.Device, pipeline metal.Pipeline, operands []metal.Binding) (metal.Pending, error) {
	encoder := metal.NewEncoder(device)
	for _, launch := range c.Launches {
		bindings := make([]metal.Binding, 1+len(launch.Operands))
		for i, operand := range launch.Operands {
			if operand >= 0 {
				bindings[1+i] = operands[operand]
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
