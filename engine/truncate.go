package engine

import "fmt"

// Truncation selects how to treat a pair that has more tokens than the model takes.
type Truncation uint8

const (
	// TruncateRight cuts tokens off the end, longest text first. It is the default; for a checkpoint with truncation_side
	// "left" in tokenizer_config.json it becomes TruncateLeft.
	TruncateRight Truncation = iota
	// TruncateLeft cuts them off the beginning.
	TruncateLeft
	// TruncateNever makes a pair that is too long a LengthError.
	TruncateNever
)

// String returns the name used in error texts.
func (t Truncation) String() string {
	switch t {
	case TruncateRight:
		return "right"
	case TruncateLeft:
		return "left"
	case TruncateNever:
		return "never"
	}
	return fmt.Sprintf("Truncation(%d)", uint8(t))
}

// longestFirst returns how many tokens of a query of a tokens and of a document of b tokens are kept when both
// together may have limit. It is the strategy "longest_first" of the Rust tokenizers library (truncate_encodings,
// utils/truncation.rs), in closed form.
//
// The document's true length b matters up to documentNeed and no further: any larger b gives the same answer.
func longestFirst(a, b, limit int) (keepA, keepB int) {
	short := limit / 2
	long := limit - short
	switch {
	case a+b <= limit:
		return a, b
	case a <= b && a <= short:
		return a, limit - a
	case b < a && b <= short:
		return limit - b, b
	case a > b:
		return long, short
	default:
		return short, long
	}
}

// documentNeed is the number of tokens of a document from which on longestFirst no longer depends on the exact
// length: such a document is the longer text, and fills the room that the query leaves.
func documentNeed(a, limit int) int { return max(a, limit) }

// cut returns keep tokens of ids: the last ones for TruncateLeft, else the first ones.
func (t Truncation) cut(ids []int32, keep int) []int32 {
	if t == TruncateLeft {
		return ids[len(ids)-keep:]
	}
	return ids[:keep]
}
