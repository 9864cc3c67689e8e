// Package layering checks the import edges between the module's packages, which files may leave Go's memory safety, and
// names. Its test fails on everything that rules.go does not allow.
//
// It reads the import lines of all files itself, since `go list` would see only the files of the platform it runs on.
// It must not depend on the packages' purpose.
package layering

// A rule lists our packages that the packages matching a pattern may import outside tests. A pattern is a path below
// the module's, or a path followed by /... for all packages below it; of two that match, the longer one counts.
//
// Tests are freer: a test may import every package that stands no higher than its own (see height), and the test
// helpers: the packages with a name that ends in "test".
type rule struct {
	packages string
	imports  []string
}

// anything, among a rule's imports, stands for every package of ours.
const anything = "..."

// allowed holds every allowed import edge, from the top down, with each folder's purpose. Two rules need no line: only
// cmd and tools import cmd, and only tools import tools.
var allowed = []rule{
	// Programs for changing and measuring metalrank. bench measures, check judges the code without a server, model
	// makes data, system drives or breaks a running server.
	{"tools/...", []string{anything}},

	// The command `metalrank`: one file for each of its verbs.
	{"cmd/metalrank", []string{
		"cmd/cli", "cmd/cli/jsonl", "cmd/cli/modelflags", "cmd/metalrank/doctor", "cmd/metalrank/fleet", "cmd/metalrank/fleet/plan",
		"cmd/metalrank/service",
		"httpapi", "httpapi/otlp", "engine", "engine/trace", "metal/open", "weights", "weights/builtin", "weights/calibrate",
		"weights/convert", "weights/hub", "internal/outfile", "internal/rankmetrics", "internal/record",
	}},
	// `metalrank doctor`: does this machine compute correctly, and as fast as it should?
	{"cmd/metalrank/doctor", []string{
		"engine", "kernels", "kernels/selftest", "kernels/tune", "metal", "metal/peaks", "metal/problem", "weights/builtin", "internal/machine", "internal/record",
	}},
	{"cmd/metalrank/service", nil}, // `metalrank service`: launchd and systemd
	{"cmd/metalrank/fleet", nil},   // `metalrank fleet haproxy`: HAProxy's configuration
	// `metalrank fleet plan`: how many nodes a load takes.
	{"cmd/metalrank/fleet/plan", []string{"engine/schedule", "engine/schedule/simulate", "internal/record"}},
	// The command `metalrank-bulk`, which works through large tables.
	{"cmd/metalrank-bulk", []string{
		"cmd/cli", "cmd/cli/jsonl", "cmd/cli/modelflags", "cmd/metalrank-bulk/bulk", "cmd/metalrank-bulk/bulk/embedded", "cmd/metalrank-bulk/bulk/table",
		"engine",
	}},
	{"cmd/metalrank-bulk/bulk", []string{"engine"}}, // chunks of pairs on a NATS queue, and their workers
	{"cmd/metalrank-bulk/bulk/table", []string{"cmd/cli/jsonl", "cmd/metalrank-bulk/bulk", "engine", "internal/filelock", "internal/outfile"}},
	{"cmd/metalrank-bulk/bulk/embedded", nil}, // a NATS server inside the program
	{"cmd/cli", nil},                      // common to all command lines: flags, exit codes, signals
	{"cmd/cli/jsonl", []string{"engine"}}, // pairs and scores as lines of JSON
	{"cmd/cli/modelflags", []string{"engine", "weights/builtin", "weights/hub"}}, // the flags that choose a model

	// The endpoint: dialects, limits, keys, metrics, the page.
	{"httpapi", []string{"engine", "engine/trace", "httpapi/otlp"}},
	{"httpapi/otlp", nil}, // spans to a collector

	// The public Go interface: texts in, scores out.
	{"engine", []string{
		"engine/backend", "engine/cost", "engine/schedule", "engine/trace", "engine/reference", "engine/cpu", "engine/gpu",
		"engine/wordpiece", "weights", "internal/machine", "internal/parallel", "metal/open", // which opens the system's device by default
	}},
	// The backends do not know of each other.
	{"engine/reference", []string{"engine/backend", "weights", "internal/parallel"}}, // float64, slow and obvious
	{"engine/cpu", []string{"engine/backend", "engine/cost", "weights", "internal/machine", "internal/parallel"}},
	{"engine/gpu", []string{"engine/backend", "engine/cost", "kernels", "kernels/selftest", "kernels/tune", "metal", "weights"}},
	{"engine/cost", []string{"weights"}}, // operations and bytes of a pass
	{"engine/wordpiece", nil},            // the tokenizer of BERT
	{"engine/backend", nil},              // the interface of a backend
	{"engine/backend/backendtest", []string{"engine/backend", "weights/weightstest"}},
	{"engine/schedule", nil}, // which sequences run next
	{"engine/schedule/simulate", []string{"engine/schedule"}},
	{"engine/trace", nil}, // where a request's time went

	{"kernels", []string{"metal"}}, // the Metal sources and the Go code that launches them
	// Cases that compare every kernel with a float64 reference, on any device.
	{"kernels/selftest", []string{"kernels", "metal", "metal/problem"}},
	{"kernels/tune", []string{"kernels", "metal", "internal/outfile"}}, // the fastest variant of each product, on this device
	{"metal", nil}, // devices, buffers, command lists: the interface of a driver
	{"metal/open", []string{"metal", "metal/darwin", "metal/sim"}},
	{"metal/darwin", []string{"metal"}},           // Apple's Metal
	{"metal/darwin/shimtest", nil},                // a part of the driver's tests, for which cgo needs a package
	{"metal/sim", []string{"metal", "metal/msl"}}, // the simulator
	{"metal/sim/simtest", []string{"metal", "metal/sim"}},
	{"metal/metaltest", []string{"metal", "metal/problem"}}, // the conformance suite for every driver
	{"metal/problem", []string{"metal"}},                    // a computation and its known answer
	{"metal/peaks", []string{"metal"}},                      // the limits of a device, measured
	{"metal/msl", nil},                                      // Metal's language, as headers for a C++ compiler

	// Checkpoints: files in, tensors and settings out.
	{"weights", []string{"weights/gguf", "weights/pickle", "weights/quant"}},
	{"weights/builtin", []string{"weights"}}, // the embedded model and its card
	{"weights/weightstest", []string{"weights"}},
	{"weights/gguf", nil},
	{"weights/pickle", nil},
	{"weights/quant", nil},
	{"weights/convert", []string{"weights", "weights/calibrate", "weights/quant", "internal/filelock", "internal/parallel"}},
	{"weights/calibrate", []string{"weights/quant"}},
	{"weights/hub", []string{"internal/filelock", "internal/parallel"}}, // Hugging Face's hub and its cache

	// Small packages with more than one user, not part of the interface.
	{"internal/filelock", nil},
	{"internal/outfile", []string{"internal/filelock"}}, // files that are complete or absent
	{"internal/parallel", nil},                          // loops over all cores
	{"internal/record", []string{"internal/outfile"}},   // results of measurements, as files
	{"internal/machine", []string{"internal/record"}},   // a description of this machine
	{"internal/rankmetrics", nil},                       // NDCG, Kendall's tau and their kin
}

// mayBeUnsafe names the files that may import "unsafe" or, as cgo, "C": the drivers, the C kernels, and where mapped
// bytes become numbers. The patterns are path.Match's.
var mayBeUnsafe = []string{
	"metal/darwin/*.go",
	"metal/darwin/shimtest/*.go",
	"metal/sim/*.go",
	"engine/cpu/*.go",
	"weights/mmap*.go",
	"weights/dtype*.go",
}

// badNames are names that state no purpose, so that anything ends up in the package.
var badNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "shared"}
