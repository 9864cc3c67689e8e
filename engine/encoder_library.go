//go:build tokenizers

package engine

import (
	"fmt"

	"github.com/daulet/tokenizers"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/metalrank/metalrank/engine/wordpiece"
)

// HasLibrary says whether the program has the library tokenizers, which all models but those of BERT's tokenizer need.
const HasLibrary = true

type libraryEncoder struct{ handle *tokenizers.Tokenizer }

// newLibrary opens a tokenizer.json in the library.
func newLibrary(file map[string]jsontext.Value, specialAsText bool) (encoder, error) {
	data, err := json.Marshal(file)
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	var options []tokenizers.TokenizerOption
	if specialAsText {
		options = append(options, tokenizers.WithEncodeSpecialTokens())
	}
	handle, err := tokenizers.FromBytes(data, options...)
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	return libraryEncoder{handle}, nil
}

func (l libraryEncoder) encode(text string, wanted details) encoding {
	var options []tokenizers.EncodeOption
	if wanted&withTexts != 0 {
		options = append(options, tokenizers.WithReturnTokens())
	}
	if wanted&withOffsets != 0 {
		options = append(options, tokenizers.WithReturnOffsets())
	}
	got := l.handle.EncodeWithOptions(text, false, options...)
	e := encoding{ids: make([]int32, len(got.IDs)), texts: got.Tokens}
	for i, id := range got.IDs {
		e.ids[i] = int32(id)
	}
	for _, o := range got.Offsets {
		e.offsets = append(e.offsets, wordpiece.Offset{Start: int(o[0]), Stop: int(o[1])})
	}
	return e
}

func (l libraryEncoder) vocabSize() int { return int(l.handle.VocabSize()) }
func (l libraryEncoder) close() error   { return l.handle.Close() }
