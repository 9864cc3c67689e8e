package weights

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// PairSettings has the settings for the texts of a pair in the files that sentence-transformers' CrossEncoder saves beside
// config.json. The zero value changes nothing. docs/checkpoint-fields.md has all fields of those files.
type PairSettings struct {
	Prompt string // comes before the query, or before a text alone
	// PlainText says that texts go to the tokenizer as they are, even if it has a chat template.
	PlainText bool
	LowerCase bool // texts are in lower case before all else
	// Length is the most tokens of a pair, instead of the tokenizer's limit; 0: the tokenizer's limit.
	Length int
	// Tokenizer has fields that take precedence over those of tokenizer_config.json.
	Tokenizer map[string]jsontext.Value

	generation bool // add_generation_prompt of the chat template
}

const (
	modulesFile  = "modules.json"
	sentenceFile = "config_sentence_transformers.json"
	maxModules   = 64
	maxPrompt    = 16 << 10 // of the default prompt, in bytes

	classification = "sequence-classification" // the transformer_task of a cross-encoder
	extraction     = "feature-extraction"      // that of one whose head is in modules of its own
	generation     = "text-generation"         // that of one whose score is made of logits of tokens
)

// transformerFiles are the names that the file of the Transformer module has had; the first that is there counts
// (Transformer.load_config in sentence-transformers 6.2.0).
var transformerFiles = []string{
	"sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json",
	"sentence_camembert_config.json", "sentence_albert_config.json", "sentence_xlm-roberta_config.json",
	"sentence_xlnet_config.json",
}

// PairSettings returns the settings of sentence-transformers' files.
func (c *Checkpoint) PairSettings() PairSettings {
	s := c.pairSettings
	s.Tokenizer = maps.Clone(s.Tokenizer)
	return s
}

// readPairSettings reads sentence-transformers' files as CrossEncoder does (base/model.py and
// base/modules/transformer.py in 6.2.0). Without modules.json, and in the folder of an embedding model, CrossEncoder
// reads none of them; the activation is read here all the same, since folders without modules.json have it from earlier
// versions of "metalrank pull". CrossEncoder takes a folder without model_type for an embedding model's; here it may be
// a cross-encoder's, if its Transformer is for classification.
func (c *Checkpoint) readPairSettings() error {
	config, err := c.optionalFields(sentenceFile)
	if err != nil {
		return err
	}
	// It takes precedence over config.json, if it names a function of torch.
	if a := config.text("activation_fn", ""); strings.HasPrefix(a, "torch.") {
		c.config.ScoreActivation = a
	}
	c.sentenceModel = config.text("model_type", "")
	crossEncoder := c.sentenceModel == "CrossEncoder"
	if config.err != nil || c.sentenceModel != "" && !crossEncoder {
		return config.err
	}
	saved, err := c.readModules(crossEncoder)
	if err != nil || !saved {
		return err
	}
	f, err := c.transformerFields()
	if err != nil {
		return err
	}
	if !crossEncoder && f.text("transformer_task", "") != classification {
		return f.err
	}
	decoder := familyOf(c.config.ModelType, "").decoder
	modes := f.object("modality_config").values
	c.pairSettings.PlainText = !decoder || modes["text"] != nil && modes["message"] == nil
	c.pairSettings.Prompt = config.prompt()
	if f.transformer(&c.pairSettings, c.head != nil && c.tokens == nil, c.tokens != nil, decoder); config.err != nil {
		return config.err
	}
	return f.err
}

// transformerFields reads the first file of the Transformer that has any fields.
func (c *Checkpoint) transformerFields() (*fields, error) {
	for _, name := range transformerFiles {
		if f, err := c.optionalFields(name); err != nil || len(f.values) > 0 {
			return f, err
		}
	}
	return &fields{}, nil
}

// optionalFields reads a JSON object; a file that isn't there has no fields.
func (c *Checkpoint) optionalFields(name string) (*fields, error) {
	data, err := c.src.read(name, maxConfigBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return &fields{file: name}, nil
	} else if err != nil {
		return nil, err
	}
	return parseFields(name, data)
}

// prompt reads the default prompt.
func (f *fields) prompt() string {
	name := f.text("default_prompt_name", "")
	if f.err != nil || name == "" {
		return ""
	}
	prompts := f.object("prompts")
	if f.err == nil {
		if _, ok := prompts.values[name]; !ok {
			f.err = invalidf("%s: default_prompt_name: %s, want one of prompts", f.file, quote(name))
		}
	}
	prompt := prompts.text(name, "")
	if f.err = cmp.Or(f.err, prompts.err); f.err == nil && len(prompt) > maxPrompt {
		f.err = invalidf("%s: prompts: %s: %s, want at most %s", f.file, quote(name), sizeText(uint64(len(prompt))), sizeText(maxPrompt))
	}
	return prompt
}

// hubArguments choose where files come from and how they are held, and change no score.
var hubArguments = []string{
	"trust_remote_code", "cache_dir", "token", "revision", "local_files_only", "subfolder", "force_download", "use_fast",
	"attn_implementation", "torch_dtype", "dtype", "device_map", "low_cpu_mem_usage", "use_safetensors", "code_revision",
}

// transformer reads the file of the Transformer module. Its rows go to modules of a head, or it has the head itself, or its
// logits of tokens go to a LogitScore. The texts of a decoder may be messages of a chat template.
func (f *fields) transformer(s *PairSettings, modular, tokens, decoder bool) {
	output, task, name := "logits", classification, headScores
	switch {
	case tokens:
		task, name = generation, causalLogits
	case modular:
		output, task, name = "last_hidden_state", extraction, "token_embeddings"
	}
	f.only("transformer_task", task)
	f.only("module_output_name", name)
	if name := f.text("tokenizer_name_or_path", ""); name != "" && f.err == nil {
		f.err = unsupportedf("%s: tokenizer_name_or_path: %s, want the tokenizer in the folder itself", f.file, quote(name))
	}
	f.modality(output, decoder)
	s.LowerCase = f.flag("do_lower_case")
	s.Tokenizer = f.arguments("tokenizer_args", "processor_kwargs")
	for _, names := range [][2]string{{"model_args", "model_kwargs"}, {"config_args", "config_kwargs"}} {
		for _, key := range slices.Sorted(maps.Keys(f.arguments(names[0], names[1]))) {
			f.unsupported(f.present(names[0], names[1])+"."+key, "leave it out, or write it to config.json")
		}
	}
	if n, ok := f.get("max_seq_length"); ok && s.Tokenizer["model_max_length"] == nil {
		if n.Kind() != '0' {
			f.fail("max_seq_length", n, "a whole number")
		}
		if s.Tokenizer == nil {
			s.Tokenizer = map[string]jsontext.Value{}
		}
		s.Tokenizer["model_max_length"] = n
	}
	f.processing(s)
}

// only refuses a value other than want.
func (f *fields) only(key, want string) {
	if got := f.text(key, want); got != want && f.err == nil {
		f.err = unsupportedf("%s: %s%s: %s, want %s", f.file, f.path, key, quote(got), quote(want))
	}
}

// unsupported refuses a key.
func (f *fields) unsupported(key, advice string) {
	if f.err == nil {
		f.err = unsupportedf("%s: %s%s is not supported: %s", f.file, f.path, shorten(key), advice)
	}
}

// present returns the one of two names of a key that is there, the old one if both are.
func (f *fields) present(old, name string) string {
	if _, ok := f.values[old]; ok {
		return old
	}
	return name
}

// arguments reads an object of keyword arguments, without those that change no score.
func (f *fields) arguments(old, name string) map[string]jsontext.Value {
	all := f.object(f.present(old, name)).values
	for _, key := range hubArguments {
		delete(all, key)
	}
	return all
}

// modality refuses settings under which texts don't go to the model as they are. Without the field they do. Those of a
// language model may be messages of a chat template.
func (f *fields) modality(output string, messages bool) {
	all := f.object("modality_config")
	for _, key := range slices.Sorted(maps.Keys(all.values)) {
		switch {
		case key == "text" || key == "message" && messages:
			text := all.object(key)
			text.only("method", "forward")
			text.only("method_output_name", output)
			text.only("format", "flat")
			all.err = cmp.Or(all.err, text.err)
		case key == "message":
			all.unsupported(key, "texts that a chat template joins; want \"text\" alone")
		}
	}
	f.err = cmp.Or(f.err, all.err)
}

// processing reads the keyword arguments of the tokenizer's calls: max_length, from common before that from text, and what the
// chat template gets.
func (f *fields) processing(s *PairSettings) {
	all := f.object("processing_kwargs")
	for _, group := range []string{"text", "common"} {
		g := all.object(group)
		for _, key := range slices.Sorted(maps.Keys(g.values)) {
			switch key {
			case "max_length":
				s.Length = g.whole(key, s.Length, maxPositions)
			case "truncation":
				if kind := g.values[key].Kind(); kind == 'f' {
					g.unsupported(key+" false", "leave it out: what is too long for the model is cut")
				} else if kind != 't' {
					g.only(key, "longest_first")
				}
			case "padding", "pad_to_multiple_of", "padding_side", "return_tensors", "return_attention_mask", "return_length",
				"verbose", "logits_to_keep":
			default:
				g.unsupported(key, "leave it out")
			}
		}
		f.err = cmp.Or(f.err, all.err, g.err)
	}
	if s.PlainText {
		return
	}
	g := all.object("chat_template")
	s.generation = g.flag("add_generation_prompt")
	for _, key := range slices.Sorted(maps.Keys(g.values)) {
		if key != "add_generation_prompt" && !(key == "restore_suffix" && g.flag(key)) {
			g.unsupported(key, "leave it out")
		}
	}
	f.err = cmp.Or(f.err, all.err, g.err)
}
