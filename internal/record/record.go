// Package record is the record of a load run, as JSON: which machine, which system, which requests, and how long each
// took. tools/sweep writes it; programs that plan with measured curves read it.
//
// It must not know how anything was measured, nor how the figures are used.
package record

import "time"

// Format is the version of the JSON that this package reads and writes.
const Format = 1

// Run is one run of a sweep: the tables that it made, in the order in which they were begun.
type Run struct {
	Format   int       `json:"format"` // Format
	Begin    time.Time `json:"begin"`
	End      time.Time `json:"end"`              // of the last cell that was measured
	Complete bool      `json:"complete"`         // it has every table and cell that was asked for
	Quick    bool      `json:"quick,omitempty"`  // few requests a cell: to try things out, not to be quoted
	Options  []string  `json:"options"`          // the command line's; a resumed run must have the same
	Host     Machine   `json:"machine"`          //
	Tool     string    `json:"tool"`             // the measuring program's version
	Commit   string    `json:"commit,omitempty"` // of the measuring program's source
	Tables   []*Table  `json:"tables"`
	// Comparisons are of pairs of systems, measured in turns.
	Comparisons []*Comparison `json:"comparisons,omitempty"`
}

// Machine is the machine of the clients, and of systems on loopback.
type Machine struct {
	CPU      string   `json:"cpu"`
	Features []string `json:"features,omitempty"` // the CPU's for matrix products, by their names in Linux
	Cores    int      `json:"cores"`
	System   string   `json:"system"`       // GOOS/GOARCH
	OS       string   `json:"os,omitempty"` // with its version: "macOS 15.1", "Debian GNU/Linux 12 (bookworm)"
	// MemoryBytes is 0 where it isn't known.
	MemoryBytes int64 `json:"memory_bytes,omitempty"`
}

// Kinds of System.
const (
	Embedded = "embedded" // metalrank's engine, called in the measuring process
	HTTP     = "http"     // a server that runs already
	Peer     = "peer"     // another runtime, started on loopback for the run
)

// System is a measured system.
type System struct {
	Kind     string            `json:"kind"`
	Backend  string            `json:"backend"`            // "metalrank", "pytorch", "onnx", …: as the table's Backend
	Device   string            `json:"device"`             // "cpu", "metal", "mps": as the table's Device
	DType    string            `json:"dtype,omitempty"`    // as asked for: "fp32", "fp16", "int8", "int4"
	Detail   string            `json:"detail,omitempty"`   // as it is in effect: kernels, workers, converted weights
	URL      string            `json:"url,omitempty"`      // of an HTTP system
	Model    string            `json:"model,omitempty"`    // name or folder
	Hash     string            `json:"model_sha256"`       // of the weights' bytes, hexadecimal; "" where they can't be seen
	Versions map[string]string `json:"versions,omitempty"` // of packages, by name
	// MaxLength is the longest pair in tokens; 0 where it isn't known.
	MaxLength int `json:"max_length,omitempty"`
	Instances int `json:"instances"` // of the model, at one address
}

// Batching is a window in which requests are joined.
type Batching struct {
	On        bool    `json:"on"`
	MaxTokens int     `json:"max_tokens,omitempty"` // of a joined batch; 0: the system's own
	WaitMS    float64 `json:"wait_ms,omitempty"`    // how long a batch that isn't full waits for more
}

// Data says which pairs were scored.
type Data struct {
	Set    string `json:"set"` // "equal", "msmarco", "mixed", "short", "long", or a file's name
	Seed   uint64 `json:"seed"`
	SHA256 string `json:"sha256,omitempty"` // of a file
}

// Lengths describes pairs by their tokens, as the embedded model's tokenizer counts them, special tokens included.
type Lengths struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	Min  int     `json:"min"`
	Max  int     `json:"max"`
}

// Table is one experiment with one system.
type Table struct {
	Experiment string    `json:"experiment"`
	Begin      time.Time `json:"begin"`
	System     System    `json:"system"`
	Batching   Batching  `json:"dynamic_batching"`
	Data       Data      `json:"data"`
	Warmup     int       `json:"warmup"` // requests before each cell, which count for nothing
	Cells      []*Cell   `json:"cells"`
	// Error says why the system could not run at all; every cell then has it too.
	Error string `json:"error,omitempty"`
}

// Loops of a Cell.
const (
	// Closed loop: each client sends its next request when it has the answer to its last.
	Closed = "closed"
	// Open loop: requests are due at a fixed rate, independent of the answers. A latency counts from when its request was
	// due, so that waiting for a stalled server is part of it.
	Open = "open"
)

// Cell is one row of a table.
type Cell struct {
	Batch       int     `json:"batch"`                         // documents of a request
	Concurrency int     `json:"concurrency"`                   // clients; in an open loop, requests under way at most
	Loop        string  `json:"loop"`                          // Closed or Open
	Rate        float64 `json:"requests_per_second,omitempty"` // at which requests were due, in an open loop
	Lengths     Lengths `json:"tokens"`                        // of the pairs
	Requests    int     `json:"requests"`                      // answered
	Failed      int     `json:"failed,omitempty"`              // not answered; they are in no other figure
	Pairs       int     `json:"pairs"`                         // documents of the answered requests
	Seconds     float64 `json:"seconds"`                       // from the first request to the last answer
	// Latencies are milliseconds, one for each answered request, in the order in which the requests were sent.
	Latencies []float64 `json:"latencies_ms,omitempty"`
	// Documents are those of each request in Latencies. Left out where every request has Batch.
	Documents  []int      `json:"documents,omitempty"`
	Latency    Quantiles  `json:"latency_ms"`
	Throughput Throughput `json:"pairs_per_second"`
	// Error says why the cell has no results: the row is an ERROR row, and all else but Batch and Concurrency is zero.
	Error string `json:"error,omitempty"`
	// Partial says that the run was interrupted in this cell, so that it has fewer requests than asked for.
	Partial bool `json:"partial,omitempty"`
}

// Quantiles of latencies.
type Quantiles struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

// Throughput in pairs per second.
type Throughput struct {
	Mean float64 `json:"mean"` // Pairs / Seconds
	// P50, P95 and P99 are percentiles over requests of documents / latency, so that P95 is the fast end.
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// Comparison is of two systems in one cell, measured in turns.
type Comparison struct {
	Experiment  string   `json:"experiment"`
	A           System   `json:"a"`
	B           System   `json:"b"`
	Batching    Batching `json:"dynamic_batching"`
	Batch       int      `json:"batch"`
	Concurrency int      `json:"concurrency"`
	// A and B's pairs per second in each repeat; the same index is the same repeat.
	ThroughputA []float64 `json:"pairs_per_second_a,omitempty"`
	ThroughputB []float64 `json:"pairs_per_second_b,omitempty"`
	// Ratio is the geometric mean over the repeats of B's throughput over A's; Low and High are its 95 % interval, by
	// Student's t on the logarithms.
	Ratio float64 `json:"ratio_b_to_a"`
	Low   float64 `json:"ratio_low"`
	High  float64 `json:"ratio_high"`
	// Agreement compares the scores of the two.
	Agreement Agreement `json:"scores"`
	Error     string    `json:"error,omitempty"`
}

// Agreement compares the scores of two systems on the same pairs.
type Agreement struct {
	Pairs      int     `json:"pairs"`
	Raw        bool    `json:"logits"` // scores before the activation
	Difference float64 `json:"largest_difference"`
	Tau        float64 `json:"kendall_tau"` // mean over requests
}
