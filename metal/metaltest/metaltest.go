// Package metaltest is one conformance suite for every driver of package metal: Run tests whether a device keeps the
// promises of the contract, and Cases are computations by three real kernels (a reduction, a softmax, a matrix
// product) with their answers in float64.
//
// It knows nothing of any driver: the caller of Run opens the device.
package metaltest

import (
	"embed"
	"io/fs"
	"testing"

	"github.com/metalrank/metalrank/metal"
)

//go:embed kernels/*.metal kernels/*.h
var embedded embed.FS

// Files holds the test kernels: "reduce.metal", "softmax.metal", "gemm.metal", and "conformance.metal" with its
// header.
func Files() fs.FS {
	files, err := fs.Sub(embedded, "kernels")
	if err != nil {
		panic("BUG: metaltest: " + err.Error()) // the path is a constant
	}
	return files
}

// subtest is one test of the suite. A function that takes one is no test helper: a failure is reported at the line
// that finds it.
type subtest struct{ *testing.T }

// subtests are the suite, in such an order that the first failure explains later ones.
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
	{"KeepResident", testKeepResident},
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

// SkipUnsupported skips the test where the device lacks what kernels need, as that of a virtual machine does, which hosted
// runners of CI have.
func SkipUnsupported(tb testing.TB, device metal.Device) {
	tb.Helper()
	info := device.Info()
	if reason := info.Unsupported(); reason != nil {
		closed(tb, "device", device.Close())
		tb.Skip(reason)
	}
}

// Run tests the devices that open returns. It opens one for most of the tests and further ones for a few, and closes
// them all. The name of a failing subtest is the promise of the contract that the device breaks.
func Run(t *testing.T, open func(testing.TB) metal.Device) {
	t.Helper()
	r := newRig(t, open)
	for _, test := range subtests {
		t.Run(test.name, func(t *testing.T) { test.run(&subtest{t}, r) })
	}
}
