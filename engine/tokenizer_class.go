package engine

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// tokenizerClass is a class of tokenizers in transformers 5. Those of a family take vocabulary, merges and added tokens
// from tokenizer.json and build the rest anew from tokenizer_config.json (models/*/tokenization_*.py in 5.24); the generic
// one takes tokenizer.json as it is.
type tokenizerClass struct {
	tokenTypes bool              // model_input_names has token_type_ids unless tokenizer_config.json has others
	tokens     map[string]string // special tokens unless the files have others
	extras     []string          // the same for special tokens without names
	build      func(t *tokenizerFiles, token func(name string) (content string, id int)) (map[string]any, error)
}

var (
	bertTokens = map[string]string{
		"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
	}
	robertaTokens = map[string]string{
		"bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>", "unk_token": "<unk>",
		"pad_token": "<pad>", "mask_token": "<mask>",
	}
	genericClass = &tokenizerClass{}
	bertClass    = &tokenizerClass{tokenTypes: true, tokens: bertTokens, build: buildBERT}
	robertaClass = &tokenizerClass{tokens: robertaTokens, build: buildRoBERTa}
	xlmrClass    = &tokenizerClass{tokens: robertaTokens, build: buildXLMR}
)

// tokenizerClasses has the classes by name, without "Fast" at the end.
var tokenizerClasses = map[string]*tokenizerClass{
	"BertTokenizer": bertClass, "ElectraTokenizer": bertClass, "MobileBertTokenizer": bertClass,
	"SqueezeBertTokenizer": bertClass, "LxmertTokenizer": bertClass,
	"DistilBertTokenizer": {tokens: bertTokens, build: buildBERT},
	"RobertaTokenizer":    robertaClass, "BartTokenizer": robertaClass, "LEDTokenizer": robertaClass, "MvpTokenizer": robertaClass,
	"XLMRobertaTokenizer": xlmrClass,
	"AlbertTokenizer":     {tokens: albertTokens, build: buildAlbert},
	"DebertaV2Tokenizer":  {tokenTypes: true, tokens: debertaTokens, build: buildDebertaV2},
	"Qwen2Tokenizer":      {tokens: qwenTokens, build: buildQwen2},
	"CamembertTokenizer": {
		tokens: robertaTokens, extras: []string{"<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"}, build: buildCamembert,
	},
}

// otherTokenizers are the classes of transformers 5.24 that build a tokenizer in ways that are not implemented. A class that
// transformers doesn't have either means the generic one.
const otherTokenizers = " BarthezTokenizer BartphoTokenizer BertGenerationTokenizer BertJapaneseTokenizer " +
	"BertweetTokenizer BigBirdTokenizer BioGptTokenizer BlenderbotSmallTokenizer BlenderbotTokenizer ByT5Tokenizer " +
	"CLIPTokenizer CTRLTokenizer CanineTokenizer CodeGenTokenizer CodeLlamaTokenizer CohereTokenizer ConvBertTokenizer " +
	"CpmTokenizer DPRContextEncoderTokenizer DPRQuestionEncoderTokenizer DPRReaderTokenizer DebertaTokenizer " +
	"EsmTokenizer FNetTokenizer FSMTTokenizer FlaubertTokenizer FunnelTokenizer GPT2Tokenizer " +
	"GPTNeoXJapaneseTokenizer GPTNeoXTokenizer GPTSw3Tokenizer GemmaTokenizer HerbertTokenizer LayoutLMv2Tokenizer " +
	"LayoutLMv3Tokenizer LayoutXLMTokenizer LlamaTokenizer LukeTokenizer M2M100Tokenizer MBart50Tokenizer MBartTokenizer " +
	"MLukeTokenizer MPNetTokenizer MarianTokenizer MarkupLMTokenizer MyT5Tokenizer NllbTokenizer OpenAIGPTTokenizer " +
	"PLBartTokenizer PegasusTokenizer PerceiverTokenizer PhobertTokenizer ProphetNetTokenizer " +
	"Qwen3_5Tokenizer ReformerTokenizer RemBertTokenizer RoCBertTokenizer RoFormerTokenizer SplinterTokenizer T5Tokenizer " +
	"TapasTokenizer UdopTokenizer XGLMTokenizer XLMTokenizer XLNetTokenizer "

// chooseTokenizerClass follows AutoTokenizer.from_pretrained (models/auto/tokenization_auto.py in 5.24): the class that
// tokenizer_config.json or else config.json names, or else that of the model's family.
func chooseTokenizerClass(modelType, named, inConfig string) (*tokenizerClass, error) {
	file := tokenizerConfigFile
	if named == "" {
		named, file = inConfig, "config.json"
	}
	if named == "" {
		named = map[string]string{
			"roberta": "RobertaTokenizer", "xlm-roberta": "XLMRobertaTokenizer", "camembert": "CamembertTokenizer",
			"albert":     "AlbertTokenizer",
			"deberta-v2": "DebertaV2Tokenizer",
			"qwen2":      "Qwen2Tokenizer", "qwen3": "Qwen2Tokenizer",
		}[modelType]
		if named == "" {
			named = "BertTokenizer"
		}
	}
	name := strings.TrimSuffix(named, "Fast")
	if class, ok := tokenizerClasses[name]; ok {
		return class, nil
	}
	if strings.Contains(otherTokenizers, " "+name+" ") {
		return nil, fmt.Errorf("%s: tokenizer_class: %.80q is not supported, want that of the model's family, or "+
			"\"PreTrainedTokenizerFast\" for tokenizer.json as it is", file, named)
	}
	return genericClass, nil
}

// build brings tokenizer.json into line with the other files. lowerCase is sentence-transformers' do_lower_case.
func (t *tokenizerFiles) build(lowerCase bool) error {
	if err := json.Unmarshal(t.tokenizer["model"], &t.model); err != nil {
		return fmt.Errorf("%s: model: %w", tokenizerJSON, err)
	}
	named, err := t.addTokens()
	if err != nil {
		return err
	}
	if t.class.build != nil {
		parts, err := t.class.build(t, func(name string) (string, int) {
			content := named[name].Content
			return content, t.tokenID(content)
		})
		if err != nil {
			return err
		}
		for key, part := range parts {
			if t.tokenizer[key], err = json.Marshal(part); err != nil {
				return err
			}
		}
	}
	if lowerCase {
		if err := t.lowerCase(); err != nil {
			return err
		}
	}
	return t.refuseDropout()
}

// refuseDropout refuses a model that leaves merges out by chance.
func (t *tokenizerFiles) refuseDropout() error {
	data := t.model["dropout"]
	if t.class.build != nil || len(data) == 0 || data.Kind() == 'n' || string(data) == "0" || string(data) == "0.0" {
		return nil
	}
	return fmt.Errorf("%s: model: dropout: %.80s, want null: scores would differ from call to call", tokenizerJSON, data)
}

type object = map[string]any

// wantModel checks the type of the model of tokenizer.json. Files of early versions have none.
func (t *tokenizerFiles) wantModel(want string) error {
	var kind string
	if data, ok := t.model["type"]; ok {
		if err := json.Unmarshal(data, &kind); err != nil {
			return fmt.Errorf("%s: model: type: %w", tokenizerJSON, err)
		}
	}
	if kind != "" && kind != want {
		return fmt.Errorf("%s: model: type %.80q, want %q for the tokenizer_class of %s, or \"PreTrainedTokenizerFast\" there",
			tokenizerJSON, kind, want, tokenizerConfigFile)
	}
	return nil
}

func buildBERT(t *tokenizerFiles, token func(string) (string, int)) (map[string]any, error) {
	unk, _ := token("unk_token")
	cls, clsID := token("cls_token")
	sep, sepID := token("sep_token")
	return object{
		"model": object{
			"type": "WordPiece", "unk_token": unk, "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
			"vocab": t.model["vocab"],
		},
		"normalizer": object{
			"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": orTrue(t.config.TokenizeChineseChars),
			"strip_accents": t.config.StripAccents, "lowercase": orTrue(t.config.DoLowerCase),
		},
		"pre_tokenizer":  object{"type": "BertPreTokenizer"},
		"post_processor": bertProcessor(cls, clsID, sep, sepID),
	}, t.wantModel("WordPiece")
}

// bertProcessor puts a pair together as BERT does.
func bertProcessor(cls string, clsID int, sep string, sepID int) object {
	return object{
		"type":   "TemplateProcessing",
		"single": []any{specialPiece(cls, 0), sequencePiece("A", 0), specialPiece(sep, 0)},
		"pair": []any{
			specialPiece(cls, 0), sequencePiece("A", 0), specialPiece(sep, 0), sequencePiece("B", 1), specialPiece(sep, 1),
		},
		"special_tokens": specialIDs(cls, clsID, sep, sepID),
	}
}

func buildRoBERTa(t *tokenizerFiles, token func(string) (string, int)) (map[string]any, error) {
	space := t.config.AddPrefixSpace != nil && *t.config.AddPrefixSpace
	cls, clsID := token("cls_token")
	sep, sepID := token("sep_token")
	return object{
		"model": object{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": "", "end_of_word_suffix": "",
			"fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
			"vocab": t.model["vocab"], "merges": t.model["merges"],
		},
		"normalizer":    nil,
		"pre_tokenizer": object{"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": true, "use_regex": true},
		"post_processor": object{
			"type": "RobertaProcessing", "sep": []any{sep, sepID}, "cls": []any{cls, clsID},
			"trim_offsets": true, "add_prefix_space": space,
		},
	}, t.wantModel("BPE")
}

func buildXLMR(t *tokenizerFiles, token func(string) (string, int)) (map[string]any, error) {
	return t.unigram(3, token)
}

func buildCamembert(t *tokenizerFiles, token func(string) (string, int)) (map[string]any, error) {
	unk, _ := token("unk_token")
	return t.unigram(t.vocab[unk], token)
}

func (t *tokenizerFiles) unigram(unkID int, token func(string) (string, int)) (map[string]any, error) {
	normalizer, err := t.charsmap()
	if err != nil {
		return nil, err
	}
	scheme := "never"
	if orTrue(t.config.AddPrefixSpace) {
		scheme = "always"
	}
	bos, bosID := token("bos_token")
	eos, eosID := token("eos_token")
	return object{
		"model":      object{"type": "Unigram", "unk_id": unkID, "byte_fallback": false, "vocab": t.model["vocab"]},
		"normalizer": normalizer,
		"pre_tokenizer": object{"type": "Sequence", "pretokenizers": []any{
			object{"type": "WhitespaceSplit"},
			object{"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true},
		}},
		"post_processor": object{
			"type":   "TemplateProcessing",
			"single": []any{specialPiece(bos, 0), sequencePiece("A", 0), specialPiece(eos, 0)},
			"pair": []any{
				specialPiece(bos, 0), sequencePiece("A", 0), specialPiece(eos, 0), specialPiece(eos, 0),
				sequencePiece("B", 0), specialPiece(eos, 0),
			},
			"special_tokens": specialIDs(bos, bosID, eos, eosID),
		},
	}, t.wantModel("Unigram")
}

func specialPiece(token string, typeID int) object {
	return object{"SpecialToken": object{"id": token, "type_id": typeID}}
}

func sequencePiece(id string, typeID int) object {
	return object{"Sequence": object{"id": id, "type_id": typeID}}
}

func specialIDs(first string, firstID int, second string, secondID int) object {
	one := func(token string, id int) object {
		return object{"id": token, "ids": []int{id}, "tokens": []string{token}}
	}
	return object{first: one(first, firstID), second: one(second, secondID)}
}

// normalizers returns the normaliser of tokenizer.json, or the parts of a sequence of them.
func (t *tokenizerFiles) normalizers() ([]jsontext.Value, error) {
	data := t.tokenizer["normalizer"]
	if len(data) == 0 || data.Kind() == 'n' {
		return nil, nil
	}
	var n struct {
		Type  string           `json:"type"`
		Parts []jsontext.Value `json:"normalizers"`
	}
	if err := json.Unmarshal(data, &n); err != nil {
		return nil, fmt.Errorf("%s: normalizer: %w", tokenizerJSON, err)
	}
	if n.Type == "Sequence" {
		return n.Parts, nil
	}
	return []jsontext.Value{data}, nil
}

// charsmap returns the one normaliser that a rebuilt SentencePiece tokenizer keeps, if it is there.
func (t *tokenizerFiles) charsmap() (any, error) {
	parts, err := t.normalizers()
	for _, part := range parts {
		var n struct {
			Type     string         `json:"type"`
			Charsmap jsontext.Value `json:"precompiled_charsmap"`
		}
		if err := json.Unmarshal(part, &n); err != nil {
			return nil, fmt.Errorf("%s: normalizer: %w", tokenizerJSON, err)
		}
		if n.Type == "Precompiled" && len(n.Charsmap) > 0 {
			return part, nil
		}
	}
	return nil, err
}

// lowerCase puts a Lowercase normaliser before the others unless one is among them. A BertNormalizer alone gets lowercase
// set instead, with the same result, as its texts can be cut at more places than those of a sequence.
func (t *tokenizerFiles) lowerCase() error {
	parts, err := t.normalizers()
	if err != nil {
		return err
	}
	all := []any{object{"type": "Lowercase"}}
	for _, part := range parts {
		var n object
		if err := json.Unmarshal(part, &n); err != nil {
			return fmt.Errorf("%s: normalizer: %w", tokenizerJSON, err)
		}
		if n["type"] == "Lowercase" {
			return nil
		}
		if n["type"] == "BertNormalizer" && len(parts) == 1 {
			if n["strip_accents"] == nil {
				n["strip_accents"] = n["lowercase"]
			}
			n["lowercase"] = true
			t.tokenizer["normalizer"], err = json.Marshal(n)
			return err
		}
		all = append(all, part)
	}
	t.tokenizer["normalizer"], err = json.Marshal(object{"type": "Sequence", "normalizers": all})
	return err
}
