package engine

import "fmt"

// Config says which model to serve, and how. The zero value serves the embedded model on the best backend.
type Config struct {
	// Model is a checkpoint folder in the layout of the Hugging Face hub. Empty: the embedded model.
	Model string
	// Backend is "auto", "cpu" or "reference". Empty: "auto", the fastest backend that this machine has.
	Backend string
	// Precision is the arithmetic of the cpu backend's matrix products: "fp32", "int8" or "bf16". Empty: "fp32", which
	// gives the checkpoint's own scores. int8 and bf16 are faster and move scores a little; bf16 needs AVX512-BF16 or
	// AMX. The reference backend computes in float64 and takes none.
	Precision string
	// MaxLength is the largest number of tokens in a pair, special tokens included; longer pairs are
	// truncated. 0: what the checkpoint allows, the smaller of model_max_length (tokenizer_config.json) and
	// max_position_embeddings (config.json), as in sentence-transformers. Bounds: 8 to what the checkpoint allows.
	MaxLength int
	// MaxBatchTokens is how many tokens one forward pass takes at most, unless a single pair has more.
	// 0: 4096. Bounds: 1 to 1,048,576.
	MaxBatchTokens int
	// SpecialTokensAsText encodes "[SEP]" and its like in a query or document as ordinary text. By default they
	// become the special tokens, as in transformers, so a document that holds "[SEP]" can pose as two segments:
	// switch it on where documents are not trusted.
	SpecialTokensAsText bool
}

const (
	defaultMaxBatchTokens = 4096
	maxMaxBatchTokens     = 1 << 20
	// minMaxLength leaves room for three special tokens, and for some of both texts.
	minMaxLength = 8
)

// Backend names that Config.Backend takes.
const (
	BackendAuto      = "auto"
	BackendCPU       = "cpu"
	BackendReference = "reference"
)

// Precisions that Config.Precision takes.
const (
	PrecisionFP32 = "fp32"
	PrecisionInt8 = "int8"
	PrecisionBF16 = "bf16"
)

// Validate reports the first field that is out of its bounds. What depends on the checkpoint is left to Open.
func (c Config) Validate() error {
	switch c.Backend {
	case "", BackendAuto, BackendCPU, BackendReference:
	default:
		return fmt.Errorf("engine: Backend is %q, want %q, %q or %q", c.Backend, BackendAuto, BackendCPU, BackendReference)
	}
	switch c.Precision {
	case "", PrecisionFP32, PrecisionInt8, PrecisionBF16:
	default:
		return fmt.Errorf("engine: Precision is %q, want %q, %q or %q", c.Precision, PrecisionFP32, PrecisionInt8, PrecisionBF16)
	}
	if c.Precision != "" && c.Backend == BackendReference {
		return fmt.Errorf("engine: Precision is %q, which backend %q does not take", c.Precision, BackendReference)
	}
	if c.MaxLength != 0 && c.MaxLength < minMaxLength {
		return fmt.Errorf("engine: MaxLength is %d, want 0 (the checkpoint's) or at least %d", c.MaxLength, minMaxLength)
	}
	if c.MaxBatchTokens < 0 || c.MaxBatchTokens > maxMaxBatchTokens {
		return fmt.Errorf("engine: MaxBatchTokens is %d, want 0 (%d) or 1 to %d",
			c.MaxBatchTokens, defaultMaxBatchTokens, maxMaxBatchTokens)
	}
	return nil
}
