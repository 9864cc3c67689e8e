package engine

import "fmt"

// Truncation says what becomes of a pair that has more tokens than the model takes.
type Truncation uint8

const (
	// TruncateRight cuts tokens off the end, longest text first. It is the default, and gives way to a checkpoint whose
	// tokenizer_config.json has truncation_side "left".
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
// together may have limit. It gives what the Rust tokenizers library gives for its strategy "longest_first"
// (truncate_encodings, utils/truncation.rs), in closed form.
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
// length: past it, the document fills whatever the query leaves, and is known to be the longer one.
func documentNeed(a, limit int) int { return max(a, limit) }

// cut returns the kept tokens of ids, from the side that the direction says.
func (t Truncation) cut(ids []int32, keep int) []int32 {
	if t == TruncateLeft {
		return ids[len(ids)-keep:]
	}
	return ids[:keep]
}
