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

// Values of MTLCommandBufferError (MTLCommandBuffer.h). Some reasons have no number of their own: macOS reports "Impacting
// Interactivity", for a list that kept the window server waiting, and "victim of GPU error/recovery", for a list beside
// one that failed, as internal errors.
const (
	internalError = 1
	timeout       = 2
	pageFault     = 3
	accessRevoked = 4 // after too many faults; later submissions are ignored
	notPermitted  = 7 // this process may not use the device
	outOfMemory   = 8
	deviceRemoved = 11 // an external GPU was unplugged
)

// commandBufferErrors names the values of MTLCommandBufferError.
var commandBufferErrors = map[int]string{
	internalError: "internal error", timeout: "timeout", pageFault: "page fault", accessRevoked: "access revoked",
	notPermitted: "not permitted", outOfMemory: "out of memory", 9: "invalid resource", 10: "memoryless", deviceRemoved: "device removed", 12: "stack overflow",
}

// execError makes an ExecError of the error of a command buffer.
func execError(err error) *metal.ExecError {
	failure := &metal.ExecError{Reason: err.Error()}
	if n, ok := errors.AsType[*nativeError](err); ok {
		failure.Code = n.code
		switch n.code {
		case internalError, timeout, pageFault, outOfMemory:
			failure.Transient = true
		case accessRevoked, notPermitted, deviceRemoved:
			failure.Lost = true
		}
		if name := commandBufferErrors[n.code]; name != "" {
			failure.Reason = name + ": " + n.text
		}
	}
	return failure
}
