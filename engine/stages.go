package engine

import (
	"slices"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// stage is a normaliser or a pre-tokeniser of tokenizer.json.
type stage struct {
	Type          string           `json:"type"`
	Normalizers   []jsontext.Value `json:"normalizers"`   // of a Sequence
	PreTokenizers []jsontext.Value `json:"pretokenizers"` // of a Sequence

	CleanText        *bool          `json:"clean_text"` // of BertNormalizer
	HandleChinese    *bool          `json:"handle_chinese_chars"`
	StripAccents     *bool          `json:"strip_accents"`
	Lowercase        *bool          `json:"lowercase"`
	Charsmap         []byte         `json:"precompiled_charsmap"` // of Precompiled
	StripLeft        bool           `json:"strip_left"`           // of Strip
	Pattern          jsontext.Value `json:"pattern"`              // of Replace and Split
	Content          string         `json:"content"`              // of Replace
	Behavior         string         `json:"behavior"`             // of Split
	Invert           bool           `json:"invert"`               // likewise
	AddPrefixSpace   *bool          `json:"add_prefix_space"`
	UseRegex         *bool          `json:"use_regex"` // of ByteLevel
	Split            *bool          `json:"split"`     // of Metaspace
	PrependScheme    string         `json:"prepend_scheme"`
	IndividualDigits bool           `json:"individual_digits"`
}

func orTrue(b *bool) bool { return b == nil || *b }

// stages returns the stages of a normaliser or pre-tokeniser in order; ok is false if it can't be read.
func stages(data jsontext.Value, depth int) (all []stage, ok bool) {
	if len(data) == 0 || data.Kind() == 'n' {
		return nil, true
	}
	var s stage
	if json.Unmarshal(data, &s) != nil || depth > 4 {
		return nil, false
	}
	if s.Type != "Sequence" {
		return []stage{s}, true
	}
	for _, inner := range slices.Concat(s.Normalizers, s.PreTokenizers) {
		more, ok := stages(inner, depth+1)
		if !ok {
			return nil, false
		}
		all = append(all, more...)
	}
	return all, true
}

// isBERT says whether texts are normalised and split as BERT's.
func isBERT(normalizers, preTokenizers []stage) bool {
	return len(normalizers) == 1 && normalizers[0].Type == "BertNormalizer" &&
		len(preTokenizers) == 1 && preTokenizers[0].Type == "BertPreTokenizer"
}

// joinsSpaces says whether a Replace makes one space, or ▁, of each run of spaces, or of all white space.
func (s *stage) joinsSpaces() bool {
	pattern := s.expression()
	return (s.Content == " " || s.Content == metaspace) && (pattern == " {2,}" || pattern == debertaSpaces)
}

// expression is the regular expression that a Replace or a Split looks for; "" if it looks for a text.
func (s *stage) expression() string {
	var pattern struct {
		Regex string `json:"Regex"`
	}
	if json.Unmarshal(s.Pattern, &pattern) != nil {
		return ""
	}
	return pattern.Regex
}

// literal is the text that a Replace looks for; "" if it looks for an expression.
func (s *stage) literal() string {
	var pattern struct {
		String string `json:"String"`
	}
	if json.Unmarshal(s.Pattern, &pattern) != nil {
		return ""
	}
	return pattern.String
}

// leavesSpaces says whether a Replace has no white space in the text that it looks for, or in the one that it puts there.
func (s *stage) leavesSpaces() bool {
	pattern := s.literal()
	return pattern != "" &&
		!strings.ContainsFunc(pattern+s.Content, func(r rune) bool { return unicode.IsSpace(r) || string(r) == metaspace })
}
