package engine

// qwenTokens are those of Qwen2Tokenizer that its files never leave empty.
var qwenTokens = map[string]string{"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}

// buildQwen2 follows models/qwen2/tokenization_qwen2.py: of tokenizer.json it takes the vocabulary and the merges.
func buildQwen2(t *tokenizerFiles, _ func(string) (string, int)) (map[string]any, error) {
	space := t.config.AddPrefixSpace != nil && *t.config.AddPrefixSpace
	return object{
		"model": object{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": "", "end_of_word_suffix": "",
			"fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
			"vocab": t.model["vocab"], "merges": t.model["merges"],
		},
		"normalizer": object{"type": "NFC"},
		"pre_tokenizer": object{"type": "Sequence", "pretokenizers": []any{
			object{"type": "Split", "pattern": object{"Regex": qwenExpression}, "behavior": "Isolated", "invert": false},
			object{"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": true, "use_regex": false},
		}},
		"post_processor": nil,
	}, t.wantModel("BPE")
}
