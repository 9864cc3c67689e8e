package engine

import "github.com/go-json-experiment/json/jsontext"

// albertTokens are those of AlbertTokenizer.
var albertTokens = map[string]string{
	"bos_token": "[CLS]", "eos_token": "[SEP]", "unk_token": "<unk>", "sep_token": "[SEP]", "pad_token": "<pad>",
	"cls_token": "[CLS]", "mask_token": "[MASK]",
}

// buildAlbert follows models/albert/tokenization_albert.py: two quotes become one sign, accents go unless keep_accents is set,
// then letters are lower case and the character map of SentencePiece follows, if tokenizer.json has one.
func buildAlbert(t *tokenizerFiles, token func(string) (string, int)) (map[string]any, error) {
	charsmap, err := t.charsmap()
	if err != nil {
		return nil, err
	}
	quote := func(from string) object {
		return object{"type": "Replace", "pattern": object{"String": from}, "content": `"`}
	}
	normalizers := []any{quote("``"), quote("''")}
	if t.config.KeepAccents == nil || !*t.config.KeepAccents {
		normalizers = append(normalizers, object{"type": "NFKD"}, object{"type": "StripAccents"})
	}
	if orTrue(t.config.DoLowerCase) {
		normalizers = append(normalizers, object{"type": "Lowercase"})
	}
	if part, ok := charsmap.(jsontext.Value); ok {
		normalizers = append(normalizers, part)
	}
	parts, err := t.unigram(1, token)
	if err != nil {
		return nil, err
	}
	_, clsID := token("cls_token")
	_, sepID := token("sep_token")
	parts["normalizer"] = object{"type": "Sequence", "normalizers": normalizers}
	parts["post_processor"] = object{
		"type":   "TemplateProcessing",
		"single": []any{specialPiece("[CLS]", 0), sequencePiece("A", 0), specialPiece("[SEP]", 0)},
		"pair": []any{
			specialPiece("[CLS]", 0), sequencePiece("A", 0), specialPiece("[SEP]", 0), sequencePiece("B", 1), specialPiece("[SEP]", 1),
		},
		"special_tokens": specialIDs("[CLS]", clsID, "[SEP]", sepID),
	}
	return parts, nil
}
