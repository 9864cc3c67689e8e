// Package metaltest is one conformance suite for every driver of package metal: Run says whether a device does what
// the contract promises, and Cases are computations by three real kernels (a reduction, a softmax, a matrix product)
// with their answers in float64.
//
// It knows nothing of any driver: who runs it opens the device.
package metaltest

import (
	"embed"
	"io/fs"
	"testing"

	"github.com/metalrank/metalrank/metal"
)

//go:embed kernels/*.metal kernels/*.h
var embedded embed.FS

// Files holds the test kernels: "reduce.metal", "softmax.metal", "gemm.metal", and "conformance.metal" with what
// it includes.
func Files() fs.FS {
	files, err := fs.Sub(embedded, "kernels")
	if err != nil {
		panic("BUG: metaltest: " + err.Error()) // the path is a constant
	}
	return files
}

// subtest is one test of the suite. It is no helper of its caller's: a failure is reported at the line that finds it.
type subtest struct{ *testing.T }

// subtests are the suite, in an order that lets the first failure explain those after it.
var subtests = []struct {
	name string
	run  func(*subtest, *rig)
}{
	{"Info", testInfo},
	{"BufferSizes", testBufferSizes},
	{"BufferLimits", testBufferLimits},
	{"NoCopy", testNoCopy},
	{"Offsets", testOffsets},
	{"ArgumentSizes", testArgumentSizes},
	{"ArgumentIndex", testArgumentIndex},
	{"Constants", testConstants},
	{"OptionalConstant", testOptionalConstant},
	{"Grids", testGrids},
	{"ThreadgroupMemory", testThreadgroupMemory},
	{"Atomics", testAtomics},
	{"Barriers", testBarriers},
	{"NoBarriers", testNoBarriers},
	{"SubmissionOrder", testSubmissionOrder},
	{"EmptyList", testEmptyList},
	{"Wait", testWait},
	{"Timing", testTiming},
	{"CompileErrors", testCompileErrors},
	{"PipelineErrors", testPipelineErrors},
	{"Limits", testLimits},
	{"Foreign", testForeign},
	{"CloseWhileBusy", testCloseWhileBusy},
	{"CloseNoCopy", testCloseNoCopy},
	{"CloseTwice", testCloseTwice},
	{"Goroutines", testGoroutines},
	{"Kernels", testKernels},
}

// Run tests the devices that open returns. It opens one for most of the tests and further ones for a few, and closes
// them all. The name of every failing subtest is a promise of the contract.
func Run(t *testing.T, open func(testing.TB) metal.Device) {
	t.Helper()
	r := newRig(t, open)
	for _, test := range subtests {
		t.Run(test.name, func(t *testing.T) { test.run(&subtest{t}, r) })
	}
}
