package engine

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is returned by every method of a closed Engine.
	ErrClosed = errors.New("engine: closed")
	// ErrNotReranker is returned by Rerank when the model has several labels, so that no single score orders
	// the documents. Score still works.
	ErrNotReranker = errors.New("engine: the model is a classifier with several labels, not a reranker")
	// ErrTokenizer marks a text that the tokenizer failed on.
	ErrTokenizer = errors.New("engine: tokenizer failed")
	// ErrBackend marks a failure of the forward pass, as opposed to one of its input.
	ErrBackend = errors.New("engine: backend failed")
)

// LengthError says that a pair has too many tokens and Options.Truncation forbids cutting it.
type LengthError struct {
	Index  int // of the pair or document, from 0
	Tokens int // special tokens included
	Limit  int
}

// Error implements error.
func (e *LengthError) Error() string {
	return fmt.Sprintf("engine: pair %d has %d tokens, the limit is %d and truncation is off", e.Index, e.Tokens, e.Limit)
}
