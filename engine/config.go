package engine

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/engine/trace"
	"github.com/metalrank/metalrank/weights"
)

// Config says which model to serve, and how. Model or Embedded must be set; the other zero values are the defaults.
type Config struct {
	// Model is a checkpoint folder in the layout of the Hugging Face hub, or a GGUF file in such. Empty: Embedded.
	Model string
	// Embedded opens the model that an empty Model stands for. It is weights/builtin.Open, which links 34 MB of weights into
	// the program, or a function of the caller's. Nil: Model must name a model.
	Embedded func() (*weights.Checkpoint, error)
	// Backend is one of Backends. Empty: "auto", the fastest backend that this machine has.
	Backend string
	// Precision is the arithmetic of matrix products, one of Precisions that the backend takes. Empty: fp16 on a GPU;
	// fp32 on the CPU, which gives the checkpoint's own scores. int8 is faster there and moves scores a little, and so is
	// bf16 with AMX; without AMX, bf16 is fp32, which is faster then. The reference backend computes in float64 and takes none.
	Precision string
	// OpenDevice opens the device of the backends "metal" and "sim", by that name, and of "auto" by the name "metal". Nil:
	// metal/open.Device does, for "auto" on macOS alone.
	OpenDevice gpu.Opener
	// MaxLength is the largest number of tokens in a pair, special tokens included; longer pairs are
	// truncated. 0: the checkpoint's limit, the smaller of model_max_length (tokenizer_config.json) and
	// max_position_embeddings (config.json), as in sentence-transformers. Bounds: 8 to the checkpoint's limit.
	MaxLength int
	// MaxBatchTokens is how many tokens one forward pass takes at most, unless a single pair has more. A pass that would last
	// over a quarter of a second takes fewer, but not below 512. 0: 4096. Bounds: 1 to 1,048,576.
	MaxBatchTokens int
	// MaxQueueTokens is how many tokens may be queued for the model; a call that would exceed it is refused with an
	// *OverloadError. A call that has more by itself is accepted while the queue is empty. 0: 256 times MaxBatchTokens.
	// Bounds: 1 to 2^40.
	MaxQueueTokens int
	// MaxQueueTime is how long the work may take that is queued for the model, at the recent rate and as the devices are shared
	// now; a call that would exceed it is refused like one that exceeds MaxQueueTokens. 0: a minute while models of a Pool share
	// the devices, and no limit for a model alone. Bounds: 0 to 24 h.
	MaxQueueTime time.Duration
	// MaxConcurrentRequests is how many calls may be under way. 0: 512. Bounds: 1 to 1,048,576.
	MaxConcurrentRequests int
	// MaxClientBatch is how many pairs a call may have. 0: as many as memory holds.
	MaxClientBatch int
	// MaxWait is how long a batch that is not full waits for more requests while the device is idle. 0, the default: not at
	// all; requests that come while the device is busy make the next batch. Bounds: 0 to 10 s.
	MaxWait time.Duration
	// KeepWarm is how long after the last batch a GPU is kept ready for the next, which would otherwise take a quarter of a
	// second longer after a pause of a second. 0: 3 minutes; less than 0: not at all.
	KeepWarm time.Duration
	// Replicas is how many backends run the model, each a batch at a time: on the CPU they divide the cores among them.
	// 0: 1. Bounds: 1 to 64.
	Replicas int
	// TokenCacheBytes bounds the memory of the cache that keeps the tokens of recent texts. 0: 32 MiB; less than 0: none.
	TokenCacheBytes int
	// OnBatch is called after each batch, from the goroutine that ran it. Nil: nothing is called.
	OnBatch func(BatchStats)
	// OnFallback is called when backend "auto" leaves a GPU for the CPU, with the reason: while the model is opened, or when
	// the device is lost later. Nil: nothing is called; Info.Fallback has the reason.
	OnFallback func(error)
	// OnDoubt is called once if a model is opened on a GPU whose scores can't be tested there, with the reason: the logits of all
	// texts that test it are about the same. Nil: nothing is called.
	OnDoubt func(error)
	// Tune is one of Tunes: whether the variants of kernels that are fastest on a GPU are found when a model is opened there for
	// the first time, which takes two seconds at most. Empty: "auto". A simulated device is never tuned.
	Tune string
	// OnTuned is called after variants were timed, or when an earlier outcome can't be read. Nil: nothing is called.
	OnTuned func(Tuned)
	// Trace takes spans of requests and batches while it records. Nil: nothing is recorded.
	Trace *trace.Recorder
	// SpecialTokensAsText encodes "[SEP]" and its like in a query or document as ordinary text. By default they
	// become the special tokens, as in transformers, so a document that holds "[SEP]" can pose as two segments:
	// switch it on where documents are not trusted.
	SpecialTokensAsText bool
	// Instruction is the text in the model's prompt that says what to look for. A model whose prompt has no place for one doesn't
	// open. Empty: the model's own. Bounds: 4,096 bytes.
	Instruction string

	tuning *gpu.Tuning // in place of the one that Tune asks for: for tests

	wrap func(backend.Backend) (backend.Backend, error) // wraps each backend that is opened: for tests, and for Observe
}

const (
	defaultMaxBatchTokens = 4096
	maxMaxBatchTokens     = 1 << 20

	queueBatches                 = 256 // that MaxQueueTokens allows by default
	maxMaxQueueTokens            = 1 << 40
	maxMaxQueueTime              = 24 * time.Hour
	defaultMaxConcurrentRequests = 512
	maxMaxConcurrentRequests     = 1 << 20
	maxMaxWait                   = 10 * time.Second
	maxReplicas                  = 64
	defaultTokenCacheBytes       = 32 << 20
	defaultKeepWarm              = 3 * time.Minute
	// minMaxLength leaves room for three special tokens, four in a RoBERTa, and for some of both texts.
	minMaxLength = 8
)

// Backend names that Config.Backend takes.
const (
	BackendAuto      = "auto"
	BackendMetal     = "metal"
	BackendCPU       = "cpu"
	BackendSim       = "sim"
	BackendReference = "reference"
)

// Backends are the values of Config.Backend: the best there is; Apple's GPU; the CPU; the simulator of a GPU, for
// checking kernels and not for speed; and the float64 oracle.
var Backends = []string{BackendAuto, BackendMetal, BackendCPU, BackendSim, BackendReference}

// Precision names that Config.Precision takes.
const (
	PrecisionFP32 = "fp32"
	PrecisionFP16 = "fp16"
	PrecisionBF16 = "bf16"
	PrecisionInt8 = "int8"
)

// Precisions are the values of Config.Precision.
var Precisions = []string{PrecisionFP32, PrecisionFP16, PrecisionBF16, PrecisionInt8}

// Values of Config.Tune.
const (
	TuneAuto  = "auto"  // once for a device, system and version of the kernels; found again in the user's cache folder
	TuneOff   = "off"   // never: variants are chosen by tables and a rule
	TuneAgain = "again" // each time, and the outcome is kept
)

// Tunes are the values of Config.Tune.
var Tunes = []string{TuneAuto, TuneOff, TuneAgain}

// precisionsOf has the precisions that each backend takes.
var precisionsOf = map[string][]string{
	BackendMetal: {PrecisionFP16, PrecisionFP32},
	BackendSim:   {PrecisionFP16, PrecisionFP32},
	BackendCPU:   {PrecisionFP32, PrecisionBF16, PrecisionInt8},
}

// Validate reports the first field that is out of its bounds. Open checks the bounds that depend on the checkpoint, or on
// the backend that "auto" stands for.
func (c Config) Validate() error {
	for _, choice := range []struct {
		field, value string
		values       []string
	}{{"Backend", c.Backend, Backends}, {"Precision", c.Precision, Precisions}, {"Tune", c.Tune, Tunes}} {
		if choice.value != "" && !slices.Contains(choice.values, choice.value) {
			return wrong(choice.field, choice.value, "one of %s", strings.Join(choice.values, ", "))
		}
	}
	if c.Backend != "" && c.Backend != BackendAuto {
		if err := c.checkPrecision(c.Backend); err != nil {
			return err
		}
	}
	if c.MaxLength != 0 && c.MaxLength < minMaxLength {
		return wrong("MaxLength", c.MaxLength, "0 (the checkpoint's) or at least %d", minMaxLength)
	}
	for _, f := range []struct {
		field       string
		value, most int
		zeroMeans   string
	}{
		{"MaxBatchTokens", c.MaxBatchTokens, maxMaxBatchTokens, strconv.Itoa(defaultMaxBatchTokens)},
		{"MaxQueueTokens", c.MaxQueueTokens, maxMaxQueueTokens, fmt.Sprintf("%d batches", queueBatches)},
		{"MaxConcurrentRequests", c.MaxConcurrentRequests, maxMaxConcurrentRequests, strconv.Itoa(defaultMaxConcurrentRequests)},
		{"MaxClientBatch", c.MaxClientBatch, math.MaxInt32, "no limit"},
		{"Replicas", c.Replicas, maxReplicas, "1"},
	} {
		if f.value < 0 || f.value > f.most {
			return wrong(f.field, f.value, "0 (%s) or 1 to %d", f.zeroMeans, f.most)
		}
	}
	if n := len(c.Instruction); n > MaxInstructionBytes {
		return wrong("Instruction", fmt.Sprintf("%d bytes", n), "at most %d", MaxInstructionBytes)
	}
	if c.MaxWait < 0 || c.MaxWait > maxMaxWait {
		return wrong("MaxWait", c.MaxWait, "0 to %v", maxMaxWait)
	}
	if c.MaxQueueTime < 0 || c.MaxQueueTime > maxMaxQueueTime {
		return wrong("MaxQueueTime", c.MaxQueueTime, "0 (a minute where models share devices) to %v", maxMaxQueueTime)
	}
	return nil
}

func wrong(field string, value any, want string, args ...any) error {
	return &ConfigError{Package: "engine", Field: field, Value: value, Want: fmt.Sprintf(want, args...)}
}

// WithDefaults replaces zeros by their defaults, except those that the checkpoint decides.
func (c Config) WithDefaults() Config {
	c.MaxBatchTokens = cmp.Or(c.MaxBatchTokens, defaultMaxBatchTokens)
	c.MaxQueueTokens = cmp.Or(c.MaxQueueTokens, queueBatches*c.MaxBatchTokens)
	c.MaxConcurrentRequests = cmp.Or(c.MaxConcurrentRequests, defaultMaxConcurrentRequests)
	c.Replicas = cmp.Or(c.Replicas, 1)
	c.KeepWarm = cmp.Or(c.KeepWarm, defaultKeepWarm)
	c.TokenCacheBytes = cmp.Or(c.TokenCacheBytes, defaultTokenCacheBytes)
	return c
}

// checkPrecision returns an error if a backend doesn't take the precision that was asked for.
func (c Config) checkPrecision(name string) error {
	if c.Precision == "" || slices.Contains(precisionsOf[name], c.Precision) {
		return nil
	}
	taken := strings.Join(precisionsOf[name], ", ")
	return wrong("Precision", c.Precision, "%s with backend %q", cmp.Or(taken, "none"), name)
}
