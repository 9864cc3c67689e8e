package engine

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/metalrank/metalrank/engine/wordpiece"
)

// ErrNoLibrary says that a model's tokenizer needs the library tokenizers, which the program is built without.
var ErrNoLibrary = errors.New("it needs the library tokenizers, which this program is built without: " +
	"build it with ./build.sh, or with -tags=tokenizers and libtokenizers.a (docs/go.md)")

// encoder finds the tokens of texts: the Rust library, or package wordpiece.
type encoder interface {
	// encode returns the tokens of a text without special tokens round it. A library that fails returns none.
	encode(text string, wanted details) encoding
	vocabSize() int // added tokens included
	close() error
}

// details are what an encoding has besides ids.
type details uint8

const (
	withTexts details = 1 << iota // of no use to wordpiece, which leaves them out
	withOffsets
)

// encoding is the tokens of a text.
type encoding struct {
	ids     []int32
	texts   []string // as the model gets them
	offsets []wordpiece.Offset
}

// newEncoder returns the encoder for a tokenizer.json. specialAsText: special tokens in a text are encoded as text.
func newEncoder(file map[string]jsontext.Value, specialAsText bool) (encoder, error) {
	config, err := wordPieceConfig(file)
	if err == nil {
		config.SpecialAsText = specialAsText
		var t *wordpiece.Tokenizer
		if t, err = wordpiece.New(config); err == nil {
			return wordPieceEncoder{t}, nil
		}
	}
	library, failed := newLibrary(file, specialAsText)
	if errors.Is(failed, ErrNoLibrary) {
		return nil, fmt.Errorf("%w (%w)", failed, err)
	}
	return library, failed
}

// wordPieceConfig returns an error for a tokenizer.json that package wordpiece does not implement, or that the library refuses.
func wordPieceConfig(file map[string]jsontext.Value) (*wordpiece.Config, error) {
	normalizers, ok := stages(file["normalizer"], 0)
	preTokenizers, also := stages(file["pre_tokenizer"], 0)
	if !ok || !also || !isBERT(normalizers, preTokenizers) {
		return nil, errors.New("not BERT's normalizer and pre_tokenizer")
	}
	n := normalizers[0]
	if n.CleanText == nil || n.HandleChinese == nil || n.Lowercase == nil {
		return nil, errors.New("normalizer: a field is missing")
	}
	if n.StripAccents == nil {
		n.StripAccents = n.Lowercase
	}
	var model struct {
		Type          string            `json:"type"`
		Unknown       *string           `json:"unk_token"`
		Prefix        *string           `json:"continuing_subword_prefix"`
		MaxCharacters *int              `json:"max_input_chars_per_word"`
		Vocab         map[string]uint32 `json:"vocab"`
	}
	if err := json.Unmarshal(file["model"], &model); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if model.Type != "WordPiece" || model.Unknown == nil || model.Prefix == nil || model.MaxCharacters == nil || *model.MaxCharacters < 0 {
		return nil, fmt.Errorf("model: type %.80q, or a field is missing", model.Type)
	}
	added, err := wordPieceAdded(file["added_tokens"])
	return &wordpiece.Config{
		Normalizer: wordpiece.Normalizer{
			CleanText: *n.CleanText, HandleChineseChars: *n.HandleChinese, StripAccents: *n.StripAccents, Lowercase: *n.Lowercase,
		},
		Vocab: model.Vocab, Unknown: *model.Unknown, Prefix: *model.Prefix, MaxCharacters: *model.MaxCharacters, Added: added,
	}, err
}

// maxWordPieceAdded bounds the added tokens that package wordpiece takes: it compares a text with one after another. BERT has five.
const maxWordPieceAdded = 1024

// wordPieceAdded reads added_tokens.
func wordPieceAdded(data jsontext.Value) (added []wordpiece.Added, err error) {
	var tokens []tokenEntry
	if len(data) > 0 {
		if err := json.Unmarshal(data, &tokens); err != nil {
			return nil, fmt.Errorf("added_tokens: %w", err)
		}
	}
	if len(tokens) > maxWordPieceAdded {
		return nil, fmt.Errorf("added_tokens: %d, want at most %d", len(tokens), maxWordPieceAdded)
	}
	for _, token := range tokens {
		switch {
		case token.Content == "": // the library passes it over
			continue
		case token.SingleWord, token.Normalized == nil:
			return nil, fmt.Errorf("added_tokens: %.80q has single_word, or lacks normalized", token.Content)
		}
		added = append(added, wordpiece.Added{
			Content: token.Content, LStrip: token.LStrip, RStrip: token.RStrip, Normalized: *token.Normalized, Special: token.Special,
		})
	}
	return added, nil
}

type wordPieceEncoder struct{ *wordpiece.Tokenizer }

func (w wordPieceEncoder) encode(text string, wanted details) encoding {
	ids, offsets := w.Encode(text, wanted&withOffsets != 0)
	return encoding{ids: ids, offsets: offsets}
}

func (w wordPieceEncoder) vocabSize() int { return w.VocabSize() }
func (w wordPieceEncoder) close() error   { return nil }
