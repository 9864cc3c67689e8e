package layering

// A rule says what the packages that match a pattern may import of ours, outside tests. A pattern is a path below the
// module's, or a path followed by /... for all that is below it; of two that match, the one that spells out more counts.
//
// Tests are freer: a test may import whatever stands no higher than its own package, and the test helpers, which are
// the packages whose name ends in "test".
type rule struct {
	packages string
	imports  []string
}

// anything, among a rule's imports, stands for every package of ours.
const anything = "..."

// allowed holds every import edge there may be, from the top down. Two rules need no line: nobody imports cmd, and
// nobody imports tools.
var allowed = []rule{
	{"tools/...", []string{anything}},

	{"cmd/...", []string{
		"outfile", "bulk", "bulk/embedded", "bulk/table", "cmd/cli", "jsonl",
		"httpapi", "httpapi/otlp", "engine", "engine/metrics", "engine/trace", "metal/open", "weights", "weights/builtin",
		"weights/calibrate",
		"record", "weights/convert", "weights/hub", "doctor", "fleet", "fleet/plan",
	}},
	{"cmd/cli", []string{"engine", "weights/hub"}},
	{"doctor", []string{
		"engine", "kernels", "kernels/kerneltest", "machine", "metal", "metal/metaltest", "record", "weights/builtin",
	}},
	{"machine", []string{"record"}},
	{"fleet", nil},
	{"fleet/plan", []string{"engine/schedule", "engine/schedule/simulate", "record"}},
	{"httpapi", []string{"engine", "engine/trace", "httpapi/otlp"}},
	{"httpapi/otlp", nil},
	{"bulk", []string{"engine"}},
	{"bulk/table", []string{"bulk", "engine", "jsonl", "outfile"}},
	{"bulk/embedded", nil},
	{"jsonl", []string{"engine"}},
	{"engine", []string{
		"engine/backend", "engine/cost", "engine/schedule", "engine/trace", "engine/reference", "engine/cpu", "engine/gpu", "parallel",
		"weights", "weights/builtin", "metal/open", // which opens the system's device where nobody chose one
	}},

	// The backends do not know of each other.
	{"engine/reference", []string{"engine/backend", "parallel", "weights"}},
	{"engine/cpu", []string{"engine/backend", "engine/cost", "machine", "parallel", "weights"}},
	{"engine/gpu", []string{"engine/backend", "engine/cost", "kernels", "metal", "weights"}},
	{"engine/cost", []string{"weights"}},
	{"engine/backend", nil},
	{"engine/backend/backendtest", []string{"engine/backend", "weights/weightstest"}},
	{"engine/schedule", nil},
	{"engine/trace", nil},
	{"engine/schedule/simulate", []string{"engine/schedule"}},
	{"engine/metrics", nil},

	{"record", []string{"outfile"}}, // for what measures and what plans
	{"outfile", []string{"weights/filelock"}},
	{"parallel", nil}, // a leaf for whoever has a loop to spread

	{"kernels", []string{"metal"}},
	{"kernels/kerneltest", []string{"kernels", "metal", "metal/metaltest"}},
	{"metal/open", []string{"metal", "metal/darwin", "metal/sim"}},
	{"metal/darwin", []string{"metal"}},
	{"metal/darwin/shimtest", nil}, // a part of the driver's tests, for which cgo needs a package
	{"metal/sim", []string{"metal", "metal/msl"}},
	{"metal/sim/simtest", []string{"metal", "metal/sim"}},
	{"metal/metaltest", []string{"metal"}},
	{"metal/msl", nil},
	{"metal", nil},

	{"weights/builtin", []string{"weights"}},
	{"weights/weightstest", []string{"weights"}},
	{"weights", []string{"weights/gguf", "weights/pickle", "weights/quant"}},
	{"weights/gguf", nil},
	{"weights/pickle", nil},
	{"weights/convert", []string{"parallel", "weights", "weights/calibrate", "weights/filelock", "weights/quant"}},
	{"weights/calibrate", []string{"weights/quant"}},
	{"weights/hub", []string{"parallel", "weights/filelock"}},
	{"weights/filelock", nil},
	{"weights/quant", nil},
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

// badNames say nothing about what a package is for, so that anything ends up in it.
var badNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "shared"}
