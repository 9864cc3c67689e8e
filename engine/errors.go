package engine

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/metalrank/metalrank/engine/schedule"
)

var (
	// ErrClosed is returned by every method of a closed Engine.
	ErrClosed = errors.New("engine: closed")
	// ErrNotReranker is returned by Rerank when the model has several labels, so that no single score orders
	// the documents. Score still works.
	ErrNotReranker = errors.New("engine: the model is a classifier with several labels, not a reranker")
	// ErrTokenizer marks a text that the tokenizer failed on.
	ErrTokenizer = errors.New("engine: tokenizer failed")
	// ErrOverloaded is matched by an *OverloadError.
	ErrOverloaded = schedule.ErrOverloaded
	// ErrBackend marks a failure of the forward pass, as opposed to one of its input.
	ErrBackend = errors.New("engine: backend failed")
	// ErrNoInstruction is the error of a call with an instruction for a model that has no place for one.
	ErrNoInstruction = errors.New("engine: the model takes no instruction")
	// ErrUnavailable is the ErrBackend of calls while no backend is open. It is being opened again: later calls may succeed.
	ErrUnavailable = fmt.Errorf("%w: it can't be opened again", ErrBackend)
)

// OverloadError says that a call was refused as a whole because too much is in flight. The caller may try again.
type OverloadError = schedule.OverloadError

// ConfigError says that a field of a configuration has a value that it can't have.
type ConfigError struct {
	Package string // of the configuration
	Field   string
	Value   any
	Want    string
}

// Error implements error.
func (e *ConfigError) Error() string {
	field, got, want := e.Setting()
	return fmt.Sprintf("%s: %s is %s, want %s", e.Package, field, got, want)
}

// Setting returns the field, the value as error texts show it, and the values that the field may have.
func (e *ConfigError) Setting() (field, got, want string) {
	if text, ok := e.Value.(string); ok {
		return e.Field, strconv.Quote(text), e.Want
	}
	return e.Field, fmt.Sprint(e.Value), e.Want
}

// ValueError says that a call asks for something out of bounds.
type ValueError struct {
	Field    string // of Options, or "pairs" if there are too many
	Value    float64
	Min, Max float64
}

// Error implements error.
func (e *ValueError) Error() string {
	return fmt.Sprintf("engine: %s is %g, want %g to %g", e.Field, e.Value, e.Min, e.Max)
}

// LengthError says that a pair has too many tokens and Options.Truncation forbids cutting it, or that its query leaves no room
// for a document.
type LengthError struct {
	Index  int // of the pair or document, from 0
	Tokens int // special tokens included
	Limit  int
	// AtLeast says that the pair may have more tokens: counting stopped there.
	AtLeast bool
	// Query says that Tokens are those of the query and of the prompt, which is never cut, and of one more for the document.
	Query bool
}

// Error implements error.
func (e *LengthError) Error() string {
	if e.Query {
		return fmt.Sprintf("engine: pair %d: the query with the model's prompt has %s tokens, with one for the document; the limit is %d, "+
			"and only documents are cut", e.Index, e.Count(), e.Limit)
	}
	return fmt.Sprintf("engine: pair %d has %s tokens, the limit is %d and truncation is off", e.Index, e.Count(), e.Limit)
}

// Count says how many tokens the pair has.
func (e *LengthError) Count() string {
	if e.AtLeast {
		return fmt.Sprintf("at least %d", e.Tokens)
	}
	return strconv.Itoa(e.Tokens)
}
