package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"runtime"
	"strings"
	"unicode"

	"github.com/daulet/tokenizers"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/metalrank/metalrank/weights"
)

// tokenizer turns texts into token ids as transformers does, without special tokens; textTemplate adds those.
type tokenizer struct {
	handle    *tokenizers.Tokenizer
	pair      *textTemplate
	single    *textTemplate // nil: tokenizer.json has none
	maxLength int           // tokens in a pair, special tokens included, as the checkpoint has it
	cuts      *cutter
	turns     *turns
	trims     bool // offsets leave out white space: of byte-level tokenizers
	info      TokenizerInfo
}

// TokenizerInfo describes a tokenizer.
type TokenizerInfo struct {
	Model     string // "WordPiece"
	Vocab     int    // size of the vocabulary, added tokens included
	MaxLength int    // tokens in a pair, special tokens included
}

// openTokenizer reads tokenizer.json and tokenizer_config.json of a checkpoint.
func openTokenizer(checkpoint *weights.Checkpoint, specialTokensAsText bool) (*tokenizer, error) {
	data, err := checkpoint.File("tokenizer.json")
	if err != nil {
		return nil, fmt.Errorf("engine: tokenizer.json: %w (a checkpoint that has only vocab.txt needs converting: "+
			"AutoTokenizer.from_pretrained(…).save_pretrained(…) in transformers writes it)", err)
	}
	t := &tokenizer{turns: newTurns(runtime.GOMAXPROCS(0))} // a call holds an operating-system thread
	config, err := readTokenizerConfig(checkpoint)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	t.maxLength = int(min(config.maxLength(), float64(checkpoint.Config().MaxPositions)))
	if t.maxLength < minMaxLength {
		return nil, fmt.Errorf("engine: the checkpoint takes %d tokens a pair, want at least %d", t.maxLength, minMaxLength)
	}
	if data, err = t.prepare(data, config); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	if !checkpoint.Config().TokenTypes {
		t.pair.withoutTypes()
		t.single.withoutTypes()
	}
	var options []tokenizers.TokenizerOption
	if specialTokensAsText {
		options = append(options, tokenizers.WithEncodeSpecialTokens())
	}
	if t.handle, err = tokenizers.FromBytes(data, options...); err != nil {
		return nil, fmt.Errorf("engine: tokenizer.json: %w", err)
	}
	t.cuts.addSpaces(func(text string) []uint32 { return t.handle.EncodeWithOptions(text, false).IDs })
	t.info.Vocab, t.info.MaxLength = int(t.handle.VocabSize()), t.maxLength
	return t, nil
}

func (t *tokenizer) close() error { return t.handle.Close() }

// prepare reads the templates, and returns the file with truncation and padding removed: both act on single
// texts here, and would change the ids. The normaliser is brought into line with tokenizer_config.json.
func (t *tokenizer) prepare(data []byte, config *tokenizerConfig) ([]byte, error) {
	var file map[string]jsontext.Value
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	var model, normalizer struct {
		Type string `json:"type"`
	}
	for key, to := range map[string]any{"model": &model, "normalizer": &normalizer} {
		if len(file[key]) == 0 {
			continue
		}
		if err := json.Unmarshal(file[key], to); err != nil {
			return nil, fmt.Errorf("tokenizer.json: %s: %w", key, err)
		}
	}
	var err error
	if t.pair, t.single, err = parseTemplates(file["post_processor"]); err != nil {
		return nil, err
	}
	t.info.Model = model.Type
	file["truncation"], file["padding"] = jsontext.Value("null"), jsontext.Value("null")
	if normalizer.Type == "BertNormalizer" && config.overridesNormalizer() {
		if file["normalizer"], err = config.bertNormalizer(); err != nil {
			return nil, err
		}
	}
	t.cuts = newCutter(file)
	t.trims = trimsOffsets(file["post_processor"])
	if data, err = json.Marshal(file); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	return data, nil
}

// clean makes text what the library's C interface can carry: it reads up to the first NUL, and wants UTF-8. Both
// become U+FFFD, which BERT's normaliser drops as it drops NUL.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// isLatin is limited to characters that every version of Unicode has: BERT drops those that the tables of the Rust
// side don't know.
func isLatin(r rune) bool {
	return r <= unicode.MaxLatin1 && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// tokenizerConfig is what counts of tokenizer_config.json.
type tokenizerConfig struct {
	TokenizerClass       string   `json:"tokenizer_class"`
	ModelMaxLength       *float64 `json:"model_max_length"` // float: transformers writes 1e30 for "no limit"
	DoLowerCase          *bool    `json:"do_lower_case"`
	StripAccents         *bool    `json:"strip_accents"`
	TokenizeChineseChars *bool    `json:"tokenize_chinese_chars"`

	present bool
}

func readTokenizerConfig(checkpoint *weights.Checkpoint) (*tokenizerConfig, error) {
	config := &tokenizerConfig{}
	data, err := checkpoint.File("tokenizer_config.json")
	if errors.Is(err, fs.ErrNotExist) {
		return config, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tokenizer_config.json: %w", err)
	}
	if err := json.Unmarshal(data, config); err != nil {
		return nil, fmt.Errorf("tokenizer_config.json: %w", err)
	}
	config.present = true
	return config, nil
}

func (c *tokenizerConfig) maxLength() float64 {
	if c.ModelMaxLength == nil {
		return math.MaxInt32
	}
	return *c.ModelMaxLength
}

// overridesNormalizer tells whether transformers would build the normaliser from this file and not from
// tokenizer.json: its BertTokenizer and those derived from it do, in versions 4 and 5 alike.
func (c *tokenizerConfig) overridesNormalizer() bool {
	switch c.TokenizerClass {
	case "", "BertTokenizer", "BertTokenizerFast", "ElectraTokenizer", "ElectraTokenizerFast",
		"DistilBertTokenizer", "DistilBertTokenizerFast":
		return c.present
	}
	return false
}

// bertNormalizer is the normaliser that transformers' BertTokenizer builds, with its defaults.
func (c *tokenizerConfig) bertNormalizer() (jsontext.Value, error) {
	orTrue := func(b *bool) bool { return b == nil || *b }
	return json.Marshal(struct {
		Type               string `json:"type"`
		CleanText          bool   `json:"clean_text"`
		HandleChineseChars bool   `json:"handle_chinese_chars"`
		StripAccents       *bool  `json:"strip_accents"`
		Lowercase          bool   `json:"lowercase"`
	}{"BertNormalizer", true, orTrue(c.TokenizeChineseChars), c.StripAccents, orTrue(c.DoLowerCase)})
}
