package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/metalrank/metalrank/weights"
)

// tokenizerFiles are the files that make a tokenizer, read as AutoTokenizer of transformers 5.24 reads them:
// _from_pretrained in tokenization_utils_base.py, and convert_to_native_format and __init__ in
// tokenization_utils_tokenizers.py. docs/checkpoint-fields.md has all of their fields.
type tokenizerFiles struct {
	tokenizer map[string]jsontext.Value // tokenizer.json
	fields    map[string]jsontext.Value // tokenizer_config.json, overridden by the other files
	config    tokenizerConfig           // the same
	class     *tokenizerClass

	decoder   map[int]tokenEntry        // of added_tokens.json; nil where there is added_tokens_decoder
	model     map[string]jsontext.Value // of tokenizer.json
	vocab     map[string]int            // ids of the added tokens that the model's vocabulary has
	vocabSize int
	added     []tokenEntry // of the tokenizer that is built
}

// tokenizerConfig has the fields of tokenizer_config.json that are used, besides special tokens.
type tokenizerConfig struct {
	TokenizerClass       string                 `json:"tokenizer_class"`
	ModelMaxLength       *float64               `json:"model_max_length"` // float: transformers writes 1e30 for "no limit"
	MaxLen               *float64               `json:"max_len"`          // its name until transformers 4
	DoLowerCase          *bool                  `json:"do_lower_case"`
	StripAccents         *bool                  `json:"strip_accents"`
	KeepAccents          *bool                  `json:"keep_accents"` // of AlbertTokenizer
	TokenizeChineseChars *bool                  `json:"tokenize_chinese_chars"`
	AddPrefixSpace       *bool                  `json:"add_prefix_space"`
	TruncationSide       string                 `json:"truncation_side"`
	ModelInputNames      []string               `json:"model_input_names"`
	SplitSpecialTokens   bool                   `json:"split_special_tokens"`
	AddedTokensDecoder   map[string]*tokenEntry `json:"added_tokens_decoder"`
	FastTokenizerFiles   []string               `json:"fast_tokenizer_files"`
	ProcessorClass       string                 `json:"processor_class"`
	InitInputs           []jsontext.Value       `json:"init_inputs"`
	ChatTemplate         jsontext.Value         `json:"chat_template"`
}

const (
	tokenizerJSON       = "tokenizer.json"
	tokenizerConfigFile = "tokenizer_config.json"
	specialTokensFile   = "special_tokens_map.json"
	addedTokensFile     = "added_tokens.json"
	chatTemplateFile    = "chat_template.jinja"
)

// readTokenizerFiles reads the files. prompted says that the chat template, if there is one, has been read as a prompt.
func readTokenizerFiles(checkpoint *weights.Checkpoint, prompted bool) (*tokenizerFiles, error) {
	t := &tokenizerFiles{}
	err := checkpoint.JSON(tokenizerJSON, &t.tokenizer)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w (a checkpoint that has only vocab.txt, or sentencepiece.bpe.model, needs converting: "+
			"AutoTokenizer.from_pretrained(…).save_pretrained(…) in transformers writes it)", err)
	case err != nil:
		return nil, err
	}
	t.fields = map[string]jsontext.Value{}
	if err := optionalJSON(checkpoint, tokenizerConfigFile, &t.fields); err != nil {
		return nil, err
	}
	over := checkpoint.PairSettings().Tokenizer
	for key := range over {
		if !slices.Contains(overridable, key) {
			return nil, fmt.Errorf("sentence-transformers' tokenizer_args: %.80q is not supported, want one of %s",
				key, strings.Join(overridable, ", "))
		}
	}
	maps.Copy(t.fields, over)
	if err := t.readLegacy(checkpoint); err != nil {
		return nil, err
	}
	merged, err := json.Marshal(t.fields)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tokenizerConfigFile, err)
	}
	if err := json.Unmarshal(merged, &t.config); err != nil {
		return nil, fmt.Errorf("%s: %w", tokenizerConfigFile, err)
	}
	if err := t.checkConfig(); err != nil {
		return nil, fmt.Errorf("%s: %w", tokenizerConfigFile, err)
	}
	if err := t.refuseChat(checkpoint); !prompted && err != nil {
		return nil, err
	}
	config := checkpoint.Config()
	t.class, err = chooseTokenizerClass(config.ModelType, t.config.TokenizerClass, config.TokenizerClass)
	return t, err
}

// overridable are the fields that sentence-transformers' files may set for the tokenizer.
var overridable = []string{
	"model_max_length", "truncation_side", "add_prefix_space", "do_lower_case", "strip_accents", "tokenize_chinese_chars",
	"split_special_tokens", "padding_side", "model_input_names", "clean_up_tokenization_spaces",
}

// ownArguments are arguments that transformers passes to its tokenizers itself, and takes from tokenizer_config.json as
// well. No file that it writes has them.
var ownArguments = []string{
	"tokenizer_object", "tokenizer_truncation", "_json_truncation", "tokenizer_padding", "_json_padding", "post_processor",
	"gguf_file", "_spm_precompiled_charsmap",
}

// optionalJSON reads a file that need not be there.
func optionalJSON(checkpoint *weights.Checkpoint, name string, to any) error {
	if err := checkpoint.JSON(name, to); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// readLegacy reads the files that transformers read before there was added_tokens_decoder, and reads still where there is
// none. Special tokens of special_tokens_map.json go before those of tokenizer_config.json.
func (t *tokenizerFiles) readLegacy(checkpoint *weights.Checkpoint) error {
	if _, ok := t.fields["added_tokens_decoder"]; ok {
		return nil
	}
	special := map[string]jsontext.Value{}
	if err := optionalJSON(checkpoint, specialTokensFile, &special); err != nil {
		return err
	}
	for key, value := range special {
		if strings.HasSuffix(key, "_token") || strings.HasSuffix(key, "_special_tokens") {
			t.fields[key] = value
		}
	}
	var added map[string]int
	if err := optionalJSON(checkpoint, addedTokensFile, &added); err != nil {
		return err
	}
	t.decoder = map[int]tokenEntry{}
	for content, id := range added {
		plain := true
		t.decoder[id] = tokenEntry{Content: content, Normalized: &plain}
	}
	return nil
}

func (t *tokenizerFiles) checkConfig() error {
	if t.config.TruncationSide == "" { // _json_truncation in TokenizersBackend.__init__
		var truncation struct {
			Direction string `json:"direction"`
		}
		if data := t.tokenizer["truncation"]; len(data) > 0 {
			if err := json.Unmarshal(data, &truncation); err != nil {
				return fmt.Errorf("truncation in %s: %w", tokenizerJSON, err)
			}
		}
		t.config.TruncationSide = strings.ToLower(truncation.Direction)
	}
	if side := t.config.TruncationSide; side != "" && side != "left" && side != "right" {
		return fmt.Errorf("truncation_side: %.80q, want \"left\" or \"right\"", side)
	}
	for _, name := range t.config.FastTokenizerFiles {
		if name != tokenizerJSON {
			return fmt.Errorf("fast_tokenizer_files: %.80q is not supported, want %s alone", name, tokenizerJSON)
		}
	}
	if len(t.config.InitInputs) > 0 {
		return errors.New("init_inputs: arguments by position are not supported, want them by name")
	}
	for _, key := range ownArguments {
		if value, ok := t.fields[key]; ok && value.Kind() != 'n' && value.Kind() != 'f' {
			return fmt.Errorf("%s is not supported, want it in %s", key, tokenizerJSON)
		}
	}
	if t.config.ProcessorClass != "" {
		return fmt.Errorf("processor_class: %.80q is not supported: the model takes more than text", t.config.ProcessorClass)
	}
	return nil
}

// refuseChat refuses a chat template where sentence-transformers joins the texts of a pair with it (infer_modalities in
// base/modules/transformer.py of 6.2.0), which gives other scores than the pair as it is.
func (t *tokenizerFiles) refuseChat(checkpoint *weights.Checkpoint) error {
	if checkpoint.PairSettings().PlainText {
		return nil
	}
	const why = "is not supported: sentence-transformers joins a pair's texts with it; remove it if the model was trained on pairs as they are"
	if data := t.config.ChatTemplate; len(data) > 0 && data.Kind() != 'n' {
		return fmt.Errorf("%s: chat_template %s", tokenizerConfigFile, why)
	}
	if slices.Contains(checkpoint.Files(), chatTemplateFile) {
		return fmt.Errorf("%s %s", chatTemplateFile, why)
	}
	return nil
}

// maxLength is how many tokens a pair may have: call if not 0, else the tokenizer's limit, and at most positions.
func (t *tokenizerFiles) maxLength(call, positions int) int {
	length := math.Inf(1)
	for _, l := range []*float64{t.config.MaxLen, t.config.ModelMaxLength} {
		if l != nil {
			length = *l
		}
	}
	if call > 0 {
		length = float64(call)
	}
	return int(min(length, float64(positions)))
}

// tokenTypes says whether the model is given the types of tokens.
func (t *tokenizerFiles) tokenTypes() bool {
	if t.config.ModelInputNames != nil {
		return slices.Contains(t.config.ModelInputNames, "token_type_ids")
	}
	return t.class.tokenTypes
}
