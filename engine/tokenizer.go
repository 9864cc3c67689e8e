package engine

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/metalrank/metalrank/weights"
)

// tokenizer turns texts into token ids as transformers does, without special tokens; textTemplate adds those.
type tokenizer struct {
	encoder   encoder
	pair      *textTemplate
	single    *textTemplate // nil: tokenizer.json has none
	maxLength int           // tokens in a pair, special tokens included, the checkpoint's limit
	usual     int           // the same unless a configuration has more
	prefix    string        // comes before the query, or before a text alone
	prompt    *prompt       // of a decoder, instead of all of these; else nil
	cuts      *cutter
	joins     bool             // byte-pair encoding: see encodeWindows
	long      *longWordEncoder // nil: it can't encode for this tokenizer
	turns     *turns
	stretches stretchTurns
	trims     bool // offsets leave out white space, as in byte-level tokenizers
	info      TokenizerInfo

	truncatesLeft bool // unless a call says otherwise
}

// TokenizerInfo describes a tokenizer.
type TokenizerInfo struct {
	Model     string // "WordPiece"
	Vocab     int    // size of the vocabulary, added tokens included
	MaxLength int    // tokens in a pair, special tokens included
}

// openTokenizer reads tokenizer.json and the files that change it.
func openTokenizer(checkpoint *weights.Checkpoint, specialTokensAsText bool) (*tokenizer, error) {
	words, err := checkpoint.Prompt()
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	files, err := readTokenizerFiles(checkpoint, words != nil)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	config, sentence := checkpoint.Config(), checkpoint.PairSettings()
	t := &tokenizer{
		turns:     newTurns(runtime.GOMAXPROCS(0)), // a call holds an operating-system thread
		stretches: newStretchTurns(),
		prefix:    sentence.Prompt,
		maxLength: files.maxLength(sentence.Length, config.MaxPositions),
	}
	if t.maxLength < minMaxLength {
		return nil, fmt.Errorf("engine: the checkpoint takes %d tokens a pair, want at least %d", t.maxLength, minMaxLength)
	}
	if err := files.build(sentence.LowerCase); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	t.truncatesLeft = files.config.TruncationSide == "left"
	err = t.prepare(files.tokenizer)
	if err == nil && words == nil && t.pair == nil {
		err = errNoPair
	}
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	if !files.tokenTypes() || !config.TokenTypes && config.TypeVocab == 1 {
		t.pair.withoutTypes()
		t.single.withoutTypes()
	}
	if err := errors.Join(t.pair.fits(config), t.single.fits(config)); err != nil {
		return nil, fmt.Errorf("engine: tokenizer.json: post_processor: %w", err)
	}
	asText := specialTokensAsText || files.config.SplitSpecialTokens
	if t.encoder, err = newEncoder(files.tokenizer, asText); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	if err := t.prepareCuts(files.tokenizer, asText); err != nil {
		return nil, errors.Join(fmt.Errorf("engine: tokenizer.json: model: %w", err), t.close())
	}
	t.info.Vocab, t.info.MaxLength = t.encoder.vocabSize(), t.maxLength
	t.usual = t.maxLength
	if words == nil {
		return t, nil
	}
	t.usual = min(t.usual, usualPromptTokens)
	if t.prompt, err = newPrompt(t, words); err != nil {
		return nil, errors.Join(fmt.Errorf("engine: the prompt of %s: %w", words.Name, err), t.close())
	}
	return t, nil
}

// prepareCuts finds the rules for cutting texts, from the file and by questions to the encoder.
func (t *tokenizer) prepareCuts(file map[string]jsontext.Value, specialTokensAsText bool) error {
	normalizers, ok := stages(file["normalizer"], 0)
	preTokenizers, also := stages(file["pre_tokenizer"], 0)
	t.cuts = newCutter(file, normalizers, preTokenizers, ok && also)
	t.cuts.literal = specialTokensAsText
	t.cuts.addSpaces(func(text string) []int32 { return t.encoder.encode(text, 0).ids })
	model, err := newUnigram(file["model"])
	t.long = newLongWordEncoder(normalizers, preTokenizers, model, func(text string) []string {
		return t.encoder.encode(text, withTexts).texts
	})
	return err
}

func (t *tokenizer) close() error { return t.encoder.close() }

// prepare reads the templates, and removes truncation and padding from the file: both act on single texts here, and would
// change the ids.
func (t *tokenizer) prepare(file map[string]jsontext.Value) error {
	var model struct {
		Type string `json:"type"`
	}
	if len(file["model"]) > 0 {
		if err := json.Unmarshal(file["model"], &model); err != nil {
			return fmt.Errorf("tokenizer.json: model: %w", err)
		}
	}
	err := checkBounds(file)
	if err != nil {
		return err
	}
	if t.pair, t.single, err = parseTemplates(file["post_processor"]); err != nil {
		return err
	}
	t.info.Model = model.Type
	file["truncation"], file["padding"] = jsontext.Value("null"), jsontext.Value("null")
	t.joins = joins(file["model"])
	t.trims = trimsOffsets(file["post_processor"])
	return nil
}

// clean replaces NUL and invalid UTF-8 by U+FFFD: the library's C interface reads up to the first NUL, and wants UTF-8.
// BERT's normaliser drops U+FFFD as it drops NUL.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// isLatin says whether r is a letter or digit of Latin-1, which every version of Unicode has: BERT drops characters that
// the tables of the Rust side don't know.
func isLatin(r rune) bool {
	return r <= unicode.MaxLatin1 && (unicode.IsLetter(r) || unicode.IsDigit(r))
}
