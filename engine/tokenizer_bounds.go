package engine

import (
	"encoding/binary"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxWordCharacters bounds max_input_chars_per_word, which is 100 in all models in use: WordPiece takes time by the cube of it.
const maxWordCharacters = 1000

// A text takes memory by its size inside the tokenizer, but the limits on texts are on their size before. So a
// tokenizer.json may not turn one byte into more than maxGrowth bytes; XLM-RoBERTa's makes 34 (U+FDFA has 33 bytes in
// normal form KC).
const (
	maxGrowth    = 1024
	maxSequences = 16 // nested; files in use have 2
)

// growing has the fields of a normaliser or a pre-tokeniser that make texts longer.
type growing struct {
	Type          string           `json:"type"`
	Normalizers   []jsontext.Value `json:"normalizers"`   // of a Sequence
	PreTokenizers []jsontext.Value `json:"pretokenizers"` // of a Sequence

	Pattern struct { // of Replace
		String *string `json:"String"`
	} `json:"pattern"`
	Content  string `json:"content"`              // of Replace
	Prepend  string `json:"prepend"`              // of Prepend
	Charsmap []byte `json:"precompiled_charsmap"` // of Precompiled
}

// checkBounds refuses a tokenizer.json that makes texts too long, or takes too long to encode them. It ignores parts that
// it can't read; the library refuses those.
func checkBounds(file map[string]jsontext.Value) error {
	var model struct {
		Most float64 `json:"max_input_chars_per_word"`
	}
	if len(file["model"]) > 0 && json.Unmarshal(file["model"], &model) == nil && model.Most > maxWordCharacters {
		return fmt.Errorf("tokenizer.json: model: max_input_chars_per_word: %g, want at most %d", model.Most, maxWordCharacters)
	}
	growth := 1.0
	for _, name := range []string{"normalizer", "pre_tokenizer"} {
		if err := grow(&growth, file[name], 0); err != nil {
			return fmt.Errorf("tokenizer.json: %s: %w", name, err)
		}
	}
	return nil
}

// grow multiplies growth by that of one normaliser or pre-tokeniser.
func grow(growth *float64, data jsontext.Value, depth int) error {
	var s growing
	if len(data) > 0 && json.Unmarshal(data, &s) != nil {
		s = growing{}
	}
	if depth > maxSequences {
		return fmt.Errorf("more than %d sequences in each other", maxSequences)
	}
	switch s.Type {
	case "Sequence":
		for _, all := range [][]jsontext.Value{s.Normalizers, s.PreTokenizers} {
			for _, inner := range all {
				if err := grow(growth, inner, depth+1); err != nil {
					return err
				}
			}
		}
	case "Replace":
		if text := s.Pattern.String; text != nil && *text != "" {
			*growth *= max(1, float64(len(s.Content))/float64(len(*text)))
		} else { // there may be a match before each character
			*growth *= 1 + float64(len(s.Content))
		}
	case "Prepend":
		*growth *= 1 + float64(len(s.Prepend)) // of a text of one byte
	case "ByteLevel":
		*growth *= 2
	case "Metaspace":
		*growth *= 4
	case "Precompiled":
		*growth *= float64(longestEntry(s.Charsmap))
	}
	if *growth > maxGrowth {
		return fmt.Errorf("it makes up to %.3g bytes of one, want at most %d", *growth, maxGrowth)
	}
	return nil
}

// longestEntry returns the length of the longest text in a charsmap of SentencePiece, and 1 at least. A charsmap is a
// length, a trie of so many bytes, and texts that end in NUL, to which the trie points (spm_precompiled 0.1.4).
func longestEntry(charsmap []byte) int {
	longest := 1
	if len(charsmap) < 4 {
		return longest
	}
	texts := charsmap[4:]
	if trie := binary.LittleEndian.Uint32(charsmap); uint64(trie) < uint64(len(texts)) {
		texts = texts[trie:]
	}
	length := 0
	for _, b := range texts {
		if length++; b == 0 {
			length = 0
		}
		longest = max(longest, length)
	}
	return longest
}
