package weightstest

import (
	"slices"
	"strings"
)

// The words of the small vocabularies: enough that an English sentence becomes a mixture of whole words, pieces and
// single letters.
const (
	commonWords = "the a of and to in is was for on that with as by from at are it an be this which or had not but " +
		"harbour boat ferry pier stone lamp light storm wind sea water ice fish crab coal crane rail town house " +
		"wall gate bell rope sail deck crew captain north south east west day night year time one two three ten " +
		"small old new long cold deep open how what where when who why many do does make find price cost map red"
	capitalWords = "The A In Harbour Ferry North What Where How Paris"
	suffixes     = "ing ed s er ly ion est al en ness ful able age ment or ity ous ive ate an in on at re"
	foreign      = "é ü ñ ø ß ç å ж п о г д а α β γ ا ل ב א क ग 東 京 天 気 水 火 山 川 日 本 の は 한 글 ° € …"
)

// vocabulary returns some 300 tokens (400 cased), the special ones put in from the given place in the given order:
// bert-base's ids of them, 0 and 100 to 103, must not be relied on.
func vocabulary(cased bool, specialsAt int, specials ...string) []string {
	vocab := characters("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", false)
	vocab = append(vocab, characters("0123456789abcdefghijklmnopqrstuvwxyz", true)...)
	words := commonWords
	if cased {
		vocab = append(vocab, characters("ABCDEFGHIJKLMNOPQRSTUVWXYZ", true)...)
		words += " " + capitalWords
	}
	for w := range strings.FieldsSeq(words) {
		if !slices.Contains(vocab, w) { // "a" is a letter as well
			vocab = append(vocab, w)
		}
	}
	for w := range strings.FieldsSeq(suffixes) {
		if !slices.Contains(vocab, "##"+w) {
			vocab = append(vocab, "##"+w)
		}
	}
	vocab = append(vocab, characters(strings.ReplaceAll(foreign, " ", ""), true)...)
	return slices.Insert(vocab, min(specialsAt, len(vocab)), specials...)
}

// tinyVocabulary returns 40 tokens.
func tinyVocabulary() []string {
	vocab := characters("abdefghilmnorstu", true)
	vocab = append(vocab, ".", "the", "boat")
	return slices.Insert(vocab, 3, "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
}

// characters returns each character of set as a token, and as the continuation of a word if inside.
func characters(set string, inside bool) []string {
	var vocab []string
	for _, r := range set {
		vocab = append(vocab, string(r))
		if inside {
			vocab = append(vocab, "##"+string(r))
		}
	}
	return vocab
}

// vocabJSON is a vocabulary that marshals as {token: id} in the order of the ids, as the tokenizers library has it.
type vocabJSON []string

func (v vocabJSON) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for id, token := range v {
		if id > 0 {
			out = append(out, ',')
		}
		pair, err := marshal(map[string]int{token: id}, "")
		if err != nil {
			return nil, err
		}
		out = append(out, pair[1:len(pair)-2]...) // without the braces and the newline
	}
	return append(out, '}'), nil
}

// tokenizer returns tokenizer.json.
func (s *Spec) tokenizer() map[string]any {
	id := func(token string) int { return slices.Index(s.Vocab, token) }

	added := make([]map[string]any, 0, 5)
	for i, token := range s.Vocab {
		if strings.HasPrefix(token, "[") && len(token) > 1 {
			added = append(added, map[string]any{
				"id": i, "content": token, "special": true,
				"single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
			})
		}
	}
	file := map[string]any{
		"version":      "1.0",
		"added_tokens": added,
		"normalizer": map[string]any{
			"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
			"strip_accents": nil, "lowercase": !s.Cased,
		},
		"pre_tokenizer": map[string]any{"type": "BertPreTokenizer"},
		"decoder":       map[string]any{"type": "WordPiece", "prefix": "##", "cleanup": true},
		"model": map[string]any{
			"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
			"max_input_chars_per_word": 100, "vocab": vocabJSON(s.Vocab),
		},
		"truncation": nil,
		"padding":    nil,
	}
	if s.BertProcessing {
		file["post_processor"] = map[string]any{
			"type": "BertProcessing", "sep": []any{"[SEP]", id("[SEP]")}, "cls": []any{"[CLS]", id("[CLS]")},
		}
	} else {
		file["post_processor"] = template(id("[CLS]"), id("[SEP]"))
	}
	if s.OwnLimits {
		file["truncation"] = map[string]any{
			"direction": "Right", "max_length": 16, "strategy": "LongestFirst", "stride": 0,
		}
		file["padding"] = map[string]any{
			"strategy": map[string]any{"Fixed": 128}, "direction": "Right", "pad_to_multiple_of": nil,
			"pad_id": id("[PAD]"), "pad_type_id": 0, "pad_token": "[PAD]",
		}
	}
	return file
}

// template returns the post-processor of bert-base: [CLS] A [SEP] with type 0, then B [SEP] with type 1.
func template(cls, sep int) map[string]any {
	special := func(token string, typeID int) map[string]any {
		return map[string]any{"SpecialToken": map[string]any{"id": token, "type_id": typeID}}
	}
	sequence := func(name string, typeID int) map[string]any {
		return map[string]any{"Sequence": map[string]any{"id": name, "type_id": typeID}}
	}
	single := []any{special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0)}
	return map[string]any{
		"type":   "TemplateProcessing",
		"single": single,
		"pair":   append(slices.Clone(single), sequence("B", 1), special("[SEP]", 1)),
		"special_tokens": map[string]any{
			"[CLS]": map[string]any{"id": "[CLS]", "ids": []int{cls}, "tokens": []string{"[CLS]"}},
			"[SEP]": map[string]any{"id": "[SEP]", "ids": []int{sep}, "tokens": []string{"[SEP]"}},
		},
	}
}
