package weights

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Config is a model's config.json, checked and with transformers' defaults filled in.
type Config struct {
	ModelType    string // one of families: "bert", "xlm-roberta", "modernbert", …
	Architecture string // the first of "architectures", such as "BertForSequenceClassification"; may be empty

	HiddenSize    int // H
	EmbeddingSize int // E, the width of the embedding tables; other than H only in a small ELECTRA
	Layers        int
	Heads         int // A; divides HiddenSize, except in a decoder
	KeyHeads      int // G, heads of keys and values, which divides Heads; fewer only in a decoder
	HeadSize      int // D; HiddenSize / Heads, except in a decoder
	FeedForward   int // F, the inner width of the feed-forward block
	VocabSize     int // V
	MaxPositions  int // P, the longest sequence in tokens, without the PositionOffset that RoBERTa's config includes
	TypeVocab     int // S, the number of segment ids

	// TokenTypes says whether models of the family tell the texts of a pair apart by segment ids; in others, all are 0
	// unless TypeVocab has more than one.
	TokenTypes bool
	// PositionOffset is the number of rows before that of the first token in the file's position table: 2 in a RoBERTa.
	// [Checkpoint.Plan] leaves them out, so that positions count from 0 in every model.
	PositionOffset int
	// PoolerActivation is the function after the pooler: Tanh, GELU in an ELECTRA, ReLU in a DistilBERT.
	PoolerActivation Activation

	LayerNormEps float64
	Activation   Activation // of the feed-forward block

	Labels []string // by label id; at least one
	// LabelsUnstated is set where the config does not state the number of labels. transformers takes 2 then,
	// CrossEncoder 1 (base/modules/transformer.py in sentence-transformers 6.2.0); here it is 1 where [Open] finds
	// weights of one label.
	LabelsUnstated bool

	ProblemType string // "regression", "single_label_classification", ...; empty where the config has none

	// ScoreActivation is the function that turns logits into scores, as sentence-transformers stored it: a Python path
	// such as "torch.nn.modules.activation.Sigmoid"; empty if nothing was stored. [Open] also looks into
	// config_sentence_transformers.json.
	ScoreActivation string

	TokenizerClass string // names the tokenizer where tokenizer_config.json doesn't; may be empty
	// CustomCode is the Python class that auto_map has for the model. It is not run: the model is computed as transformers
	// does without trust_remote_code. Empty if there is none.
	CustomCode string

	Quantization *Quantization // nil unless layers are quantised as MLX does it

	own     architecture // nil: a BERT's
	noTypes bool         // there is no table of segment ids, although the family has one
}

// Bounds of the numbers in a config. They are far above any BERT that was ever published, and low enough that every
// product of two of them fits an int64.
const (
	maxHidden      = 1 << 16
	maxLayers      = 1 << 10
	maxFeedForward = 1 << 20
	maxVocab       = 1 << 24
	maxPositions   = 1 << 20
	maxTypes       = 1 << 10
	maxLabels      = 1 << 16
	maxConfigBytes = 16 << 20
)

const configFile = "config.json"

// ParseConfig reads config.json. Absent values get the default of transformers' BertConfig, with which transformers
// computes (models/bert/configuration_bert.py and configuration_utils.py in 5.23.0). Errors are [ErrInvalid] for a file
// that is wrong, and [ErrUnsupported] for a model that is not implemented.
func ParseConfig(data []byte) (Config, error) {
	f, err := parseFields(configFile, data)
	if err != nil {
		return Config{}, err
	}
	c := Config{Architecture: f.firstString("architectures")}
	family := f.family(c.Architecture)
	if f.err != nil { // before the numbers: other architectures name theirs differently
		return Config{}, f.err
	}
	c.ModelType = family.modelType
	c.TokenizerClass, c.CustomCode = f.text("tokenizer_class", ""), f.customCode()
	f.refuse(c.CustomCode, family)
	whole := func(key string, absent, largest int) int {
		absent = family.defaultValue(key, absent)
		if own := family.key(key); own != key && slices.Contains(family.acceptedBERTKeys, key) {
			absent = f.whole(own, absent, largest) // the general name takes precedence over the family's
		} else {
			key = own
		}
		return f.whole(key, absent, largest)
	}
	c.HiddenSize = whole("hidden_size", 768, maxHidden)
	c.Layers = whole("num_hidden_layers", 12, maxLayers)
	c.Heads = whole("num_attention_heads", 12, maxHidden)
	c.FeedForward = whole("intermediate_size", 3072, maxFeedForward)
	c.VocabSize = whole("vocab_size", 30522, maxVocab)
	c.MaxPositions = whole("max_position_embeddings", 512, maxPositions)
	c.Activation = f.activation(family.key("hidden_act"), GELU)
	if family.settings != nil {
		c.own = family.settings(f, &c)
	} else {
		f.quirks(&c, family)
	}
	if !family.decoder && c.Heads > 0 {
		c.KeyHeads, c.HeadSize = c.Heads, c.HiddenSize/c.Heads
	}
	c.Labels = f.labels()
	c.LabelsUnstated = !strings.HasSuffix(c.Architecture, "ForSequenceClassification") && !f.has("id2label") && !f.has("num_labels")
	c.ProblemType = f.text("problem_type", "")
	c.ScoreActivation = f.scoreActivation()
	c.Quantization = f.quantization()
	if f.err == nil && !family.decoder && c.HiddenSize%c.Heads != 0 {
		f.err = invalidf("%s: %s: %d, want a multiple of %s, %d", configFile, family.key("hidden_size"), c.HiddenSize,
			family.key("num_attention_heads"), c.Heads)
	}
	if f.err != nil {
		return Config{}, f.err
	}
	return c, nil
}

// family returns the family of the model, or fails if it is not implemented.
func (f *fields) family(architecture string) *family {
	model := f.text("model_type", "")
	found := familyOf(model, architecture)
	switch {
	case f.err != nil:
	case found != nil:
	case model == "":
		if is, nearest, known := otherFamily(architecture); known { // class names begin as model_type does
			f.err = unsupportedf("%s: architectures: %s (%s) is not supported; nearest is %s", f.file, quote(architecture), is, nearest)
			break
		}
		f.err = invalidf("%s: no model_type, want a model's config of transformers with one of: %s", f.file, familyNames())
	default:
		f.err = f.notRun(model, architecture)
	}
	return found
}

// quirks fills in the values in which families differ.
func (f *fields) quirks(c *Config, family *family) {
	c.TokenTypes, c.PoolerActivation = family.tokenTypes, family.poolerActivation
	c.EmbeddingSize, c.TypeVocab, c.LayerNormEps = c.HiddenSize, 1, 1e-12
	if family.embeddingSize {
		c.EmbeddingSize = f.whole("embedding_size", 128, maxHidden)
	}
	if !family.noTypeTable {
		c.TypeVocab = f.whole("type_vocab_size", 2, maxTypes)
	}
	if !family.layerNormEpsSet {
		c.LayerNormEps = f.epsilon("layer_norm_eps", 1e-12)
	}
	if f.text("position_embedding_type", "") == "alibi" { // of another family, it was refused
		c.own = f.jina(c)
	}
	if family.positionsAfter {
		c.PositionOffset = 1 + f.wholeFrom("pad_token_id", family.defaultValue("pad_token_id", 0), 0, maxPositions)
		if c.MaxPositions -= c.PositionOffset; c.MaxPositions < 1 && f.err == nil {
			f.err = invalidf("%s: max_position_embeddings: %d, want more than pad_token_id + 1, %d",
				f.file, c.MaxPositions+c.PositionOffset, c.PositionOffset)
		}
	}
}

// refuse rejects settings that make the model one that is not implemented, or that name other files.
func (f *fields) refuse(customCode string, family *family) {
	// Gone from transformers 5, but old checkpoints with relative positions still carry it (and more tensors).
	if p := f.text("position_embedding_type", "absolute"); f.err == nil && p != "absolute" && p != family.positionType {
		code := ""
		if customCode != "" {
			code = fmt.Sprintf(" (custom code, auto_map: %s)", shorten(customCode))
		}
		f.err = unsupportedf("%s: position_embedding_type: %s%s, want \"absolute\"; nearest is %s", f.file, quote(p), code, likeBGE)
	}
	if v, ok := f.get("per_layer_config"); ok && !isEmpty(v) {
		f.err = unsupportedf("%s: per_layer_config is not supported, want all layers alike", f.file)
	}
	for _, key := range []string{"is_decoder", "add_cross_attention", "causal", "is_causal"} {
		if !(family.decoder && key == "is_causal") && f.flag(key) && f.err == nil {
			f.err = unsupportedf("%s: %s: true, want false: a cross-encoder reads in both directions", f.file, key)
		}
	}
	f.refuseNames("configuration_files", configFile, "what it says should be in "+configFile)
	f.refuseNames("transformers_weights", weightsFile, "the weights should be in "+weightsFile)
	f.refuseNames("processor_class", "", "the model takes more than text")
}

// refuseNames rejects a name, or a list with a name, other than but.
func (f *fields) refuseNames(key, but, why string) {
	v, ok := f.get(key)
	if !ok {
		return
	}
	var names []string
	if v.Kind() != '[' {
		names = []string{f.text(key, "")}
	} else if json.Unmarshal(v, &names) != nil {
		f.fail(key, v, "an array of strings")
	}
	for _, name := range names {
		if name != but && f.err == nil {
			f.err = unsupportedf("%s: %s: %s is not supported: %s", f.file, key, quote(name), why)
		}
	}
}

// scoreActivation follows CrossEncoder.get_default_activation_fn of sentence-transformers 6.2.0: the new place wins
// wherever it is present, even if it holds null.
func (f *fields) scoreActivation() string {
	nested := f.object("sentence_transformers")
	if _, ok := nested.values["activation_fn"]; ok {
		s := nested.text("activation_fn", "")
		if f.err == nil {
			f.err = nested.err
		}
		return s
	}
	return f.text("sbert_ce_default_activation_function", "")
}

// parseFields splits the top level of a JSON object. Values are parsed when they are asked for; a key that appears
// twice is an error, because readers disagree on which one counts.
func parseFields(file string, data []byte) (*fields, error) {
	if len(data) > maxConfigBytes {
		return nil, invalidf("%s: %s, want at most %s", file, sizeText(uint64(len(data))), sizeText(maxConfigBytes))
	}
	// Python's json, for which checkpoints are written, refuses a byte order mark too.
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return nil, invalidf("%s: begins with a byte order mark, want plain UTF-8", file)
	}
	f := &fields{file: file}
	if kind := jsontext.Value(data).Kind(); kind != '{' {
		return nil, invalidf("%s: begins with %s, want a JSON object", file, quote(data[:min(len(data), 20)]))
	}
	if err := json.Unmarshal(data, &f.values); err != nil {
		return nil, headerError(file, err)
	}
	return f, nil
}
