//go:build !tokenizers

package engine

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// HasLibrary says whether the program has the library tokenizers, which all models but those of BERT's tokenizer need.
const HasLibrary = false

func newLibrary(map[string]jsontext.Value, bool) (encoder, error) {
	return nil, fmt.Errorf("tokenizer.json: %w", ErrNoLibrary)
}
