package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// Package wordpiece takes BERT's tokenizers, and none that it would encode otherwise than the library. The library takes the
// others, in programs that have it.
func TestNewEncoder(t *testing.T) {
	many := make([]string, maxWordPieceAdded+1)
	for i := range many {
		many[i] = fmt.Sprintf(`{"id":%d,"content":"<%d>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}`, 30522+i, i)
	}
	for _, c := range []struct {
		name, family, key, value string
		ours                     bool
	}{
		{name: "embedded", ours: true},
		{name: "electra", family: "electra", ours: true},
		{name: "distilbert", family: "distilbert", ours: true},
		{name: "cased", key: "normalizer", value: fmt.Sprintf(bertNormalizer, true, "null", false), ours: true},
		{name: "as many added tokens as there may be", key: "added_tokens", value: "[" + strings.Join(many[1:], ",") + "]", ours: true},
		{name: "one more", key: "added_tokens", value: "[" + strings.Join(many, ",") + "]"},
		{name: "single_word", key: "added_tokens", value: awkwardAdded},
		{name: "a sequence of normalizers", key: "normalizer", value: `{"type":"Sequence","normalizers":[{"type":"Lowercase"},{"type":"NFC"}]}`},
		{name: "another pre_tokenizer", key: "pre_tokenizer", value: `{"type":"Whitespace"}`},
		{name: "roberta", family: "roberta"},
		{name: "xlm_roberta", family: "xlm_roberta"},
	} {
		file := tokenizerFile(t, c.family)
		if c.key != "" {
			file[c.key] = jsontext.Value(c.value)
		}
		one, err := newEncoder(file, false)
		_, ours := one.(wordPieceEncoder)
		switch {
		case ours != c.ours:
			t.Errorf("%s: encoded in Go: %t, want %t", c.name, ours, c.ours)
		case !ours && !HasLibrary:
			if !errors.Is(err, ErrNoLibrary) {
				t.Errorf("%s: without the library: %v, want ErrNoLibrary", c.name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil {
			if err := one.close(); err != nil {
				t.Error(err)
			}
		}
	}
}
