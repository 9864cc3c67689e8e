package darwin

import (
	"errors"
	"regexp"
	"strconv"

	"github.com/metalrank/metalrank/metal"
)

// complaint matches a line of Metal's compiler, "gemm.metal:12:5: error: use of undeclared identifier 'x'".
var complaint = regexp.MustCompile(`(?m)^\s*([^\s:][^:\n]*):(\d+):\d+: (?:fatal )?error: `)

// unnamedSource is the name that Metal's compiler gives to source that no #line names.
const unnamedSource = "program_source"

// compileError makes a CompileError of Metal's error. name is used for the file where the compiler has no name.
func compileError(kernel, name string, err error) *metal.CompileError {
	failure := &metal.CompileError{Kernel: kernel, Log: err.Error()}
	found := complaint.FindStringSubmatch(failure.Log)
	if found == nil {
		return failure
	}
	line, err := strconv.Atoi(found[2])
	if err != nil { // more digits than an int holds: not a line
		return failure
	}
	failure.File, failure.Line = found[1], line
	if failure.File == unnamedSource && name != "" {
		failure.File = name
	}
	return failure
}

// Values of MTLCommandBufferError after which this process can't use the device any more.
const (
	accessRevoked = 4  // after too many faults; later submissions are ignored
	deviceRemoved = 11 // an external GPU was unplugged
)

// commandBufferErrors names the values of MTLCommandBufferError (MTLCommandBuffer.h).
var commandBufferErrors = map[int]string{
	1: "internal error", 2: "timeout", 3: "page fault", accessRevoked: "access revoked", 7: "not permitted",
	8: "out of memory", 9: "invalid resource", 10: "memoryless", deviceRemoved: "device removed", 12: "stack overflow",
}

// execError makes an ExecError of the error of a command buffer.
func execError(err error) *metal.ExecError {
	failure := &metal.ExecError{Reason: err.Error()}
	if n, ok := errors.AsType[*nativeError](err); ok {
		failure.Code = n.code
		failure.Lost = n.code == accessRevoked || n.code == deviceRemoved
		if name := commandBufferErrors[n.code]; name != "" {
			failure.Reason = name + ": " + n.text
		}
	}
	return failure
}
