package engine

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// debertaTokens are those of DebertaV2Tokenizer.
var debertaTokens = map[string]string{
	"bos_token": "[CLS]", "eos_token": "[SEP]", "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]",
	"cls_token": "[CLS]", "mask_token": "[MASK]",
}

// debertaSpaces is the expression of white space that DebertaV2Tokenizer turns into one space.
const debertaSpaces = `\s{2,}|[\n\r\t]`

// buildDebertaV2 follows models/deberta_v2/tokenization_deberta_v2.py: of tokenizer.json it takes the vocabulary alone, and
// neither the character map of SentencePiece nor the id of the unknown token.
func buildDebertaV2(t *tokenizerFiles, token func(string) (string, int)) (map[string]any, error) {
	if err := t.wantModel("Unigram"); err != nil {
		return nil, err
	}
	unk, _ := token("unk_token")
	unkID, err := t.debertaUnknown(unk)
	if err != nil {
		return nil, err
	}
	lower, err := t.flag("do_lower_case", false)
	if err != nil {
		return nil, err
	}
	split, err := t.flag("split_by_punct", false)
	if err != nil {
		return nil, err
	}
	space, err := t.flag("add_prefix_space", true)
	if err != nil {
		return nil, err
	}
	var normalizers, preTokenizers []any
	if lower {
		normalizers = append(normalizers, object{"type": "Lowercase"})
	}
	normalizers = append(normalizers,
		object{"type": "Replace", "pattern": object{"Regex": debertaSpaces}, "content": " "}, object{"type": "NFC"},
		object{"type": "Strip", "strip_left": false, "strip_right": true})
	if split {
		preTokenizers = append(preTokenizers, object{"type": "Punctuation", "behavior": "Isolated"})
	}
	scheme := "first"
	if space {
		scheme = "always"
	}
	preTokenizers = append(preTokenizers, object{"type": "Metaspace", "replacement": metaspace, "prepend_scheme": scheme, "split": true})
	cls, clsID := token("cls_token")
	sep, sepID := token("sep_token")
	return object{
		"model":          object{"type": "Unigram", "unk_id": unkID, "byte_fallback": false, "vocab": t.model["vocab"]},
		"normalizer":     object{"type": "Sequence", "normalizers": normalizers},
		"pre_tokenizer":  object{"type": "Sequence", "pretokenizers": preTokenizers},
		"post_processor": bertProcessor(cls, clsID, sep, sepID),
	}, nil
}

// flag reads a field of tokenizer_config.json whose null means false, as to Python.
func (t *tokenizerFiles) flag(key string, absent bool) (bool, error) {
	switch value := t.fields[key]; value.Kind() {
	case jsontext.KindInvalid:
		return absent, nil
	case 'n', 'f':
		return false, nil
	case 't':
		return true, nil
	default:
		return false, fmt.Errorf("%s: %s: %.80s, want true or false", tokenizerConfigFile, key, value)
	}
}

// debertaUnknown returns the id of unknown pieces: that of the unknown token if its score is 0, or else unk_id, or 1.
func (t *tokenizerFiles) debertaUnknown(unk string) (int, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(t.model["vocab"]))
	if open, err := dec.ReadToken(); err != nil || open.Kind() != '[' {
		return 0, fmt.Errorf("%s: model: vocab: want a list of pieces and their scores", tokenizerJSON)
	}
	for id := 0; dec.PeekKind() == '['; id++ {
		var (
			entry [2]jsontext.Value
			piece string
		)
		if err := json.UnmarshalDecode(dec, &entry); err != nil {
			return 0, fmt.Errorf("%s: model: vocab[%d]: %w", tokenizerJSON, id, err)
		}
		if err := json.Unmarshal(entry[0], &piece); err != nil {
			return 0, fmt.Errorf("%s: model: vocab[%d]: %w", tokenizerJSON, id, err)
		}
		if score, err := strconv.ParseFloat(string(entry[1]), 64); piece == unk && err == nil && score == 0 {
			return id, nil
		}
	}
	id := 1
	if value, ok := t.fields["unk_id"]; ok {
		if err := json.Unmarshal(value, &id); err != nil || value.Kind() != '0' || id < 0 {
			return 0, fmt.Errorf("%s: unk_id: %.80s, want an id", tokenizerConfigFile, value)
		}
	}
	return id, nil
}
