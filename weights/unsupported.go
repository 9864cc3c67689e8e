package weights

import (
	"cmp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Cross-encoders that are supported, which errors name as the nearest to a model that is not.
const (
	likeMiniLM = "cross-encoder/ms-marco-MiniLM-L6-v2 (bert)"
	likeBGE    = "BAAI/bge-reranker-v2-m3 (xlm-roberta)"
	likeJina   = "jinaai/jina-reranker-v1-turbo-en (bert with ALiBi)"
)

// otherFamilies are families of rerankers that are not supported: the start of model_type in config.json, a description,
// and the nearest model that is supported.
var otherFamilies = []struct{ modelType, is, nearest string }{
	{"deberta", "DeBERTa of version 1: attention by relative positions", "cross-encoder/nli-roberta-base (roberta) or " + likeMiniLM},
	{"jina", "JinaBERT: ALiBi positions, custom code", likeBGE},
	{"mpnet", "MPNet: attention with relative positions", likeMiniLM},
	{"colbert", "ColBERT: late interaction, which gives an embedding for each token and no score for a pair", likeMiniLM},
	{"colpali", "ColPali: late interaction of images", likeMiniLM},
	{"t5", "T5: an encoder with a decoder (monoT5)", likeBGE},
	{"mt5", "T5: an encoder with a decoder (monoT5)", likeBGE},
	{"umt5", "T5: an encoder with a decoder (monoT5)", likeBGE},
	{"bart", "BART: an encoder with a decoder", likeMiniLM},
	{"mbart", "BART: an encoder with a decoder", likeBGE},
	{"qwen", "Qwen: a language model, which answers yes or no", likeBGE},
	{"llama", "Llama: a language model", likeBGE},
	{"mistral", "Mistral: a language model", likeBGE},
	{"mixtral", "Mixtral: a language model", likeBGE},
	{"gemma", "Gemma: a language model (bge-reranker-v2-gemma)", likeBGE},
	{"minicpm", "MiniCPM: a language model (bge-reranker-v2-minicpm)", likeBGE},
	{"phi", "Phi: a language model", likeBGE},
	{"gpt", "GPT: a language model", likeBGE},
	{"clip", "CLIP: text and images", likeMiniLM},
	{"siglip", "SigLIP: text and images", likeMiniLM},
	{"vit", "a vision transformer", likeMiniLM},
	{"layoutlm", "LayoutLM: text with its place on a page", likeMiniLM},
	{"longformer", "Longformer: windowed attention", likeBGE},
	{"big_bird", "BigBird: block-sparse attention", likeBGE},
	{"xlnet", "XLNet: attention with relative positions", likeMiniLM},
	{"xlm-roberta-xl", "XLM-RoBERTa-XL: layer norms before attention", likeBGE},
	{"xlm", "XLM", likeBGE},
	{"eurobert", "EuroBERT: rotary positions, custom code", likeBGE},
	{"neobert", "NeoBERT: rotary positions, custom code", likeBGE},
	{"roformer", "RoFormer: rotary positions", likeMiniLM},
	{"mobilebert", "MobileBERT: bottlenecks in each layer", likeMiniLM},
	{"convbert", "ConvBERT: convolutions in attention", likeMiniLM},
	{"squeezebert", "SqueezeBERT: grouped convolutions", likeMiniLM},
	{"funnel", "Funnel: pooled sequences", likeMiniLM},
	{"ernie", "ERNIE: a BERT with task types", likeMiniLM},
	{"nystromformer", "Nyströmformer: approximate attention", likeBGE},
	{"rembert", "RemBERT: embeddings of another width", likeBGE},
	{"megatron-bert", "Megatron-BERT: layer norms before attention", likeMiniLM},
	{"roberta-prelayernorm", "RoBERTa with layer norms before attention", "cross-encoder/stsb-roberta-base (roberta)"},
	{"xmod", "X-MOD: adapters by language", likeBGE},
	{"esm", "ESM: proteins", likeMiniLM},
	{"flaubert", "FlauBERT", likeBGE},
	{"sew", "speech", likeMiniLM},
	{"wav2vec2", "speech", likeMiniLM},
	{"whisper", "speech", likeMiniLM},
}

// otherHeads are descriptions by the end of a model's class, for models that are in no family.
var otherHeads = []struct{ suffix, is string }{
	{"ForCausalLM", "a language model"},
	{"ForConditionalGeneration", "an encoder with a decoder, or a model of more than text"},
	{"ForImageClassification", "a model of images"},
	{"ForAudioClassification", "a model of sound"},
}

// notRun makes the error for a model of another family, with its description, and the nearest model that is supported.
func (f *fields) notRun(model, architecture string) error {
	is, nearest, longest := "", likeBGE, 0
	for _, head := range otherHeads {
		if strings.HasSuffix(architecture, head.suffix) {
			is = head.is
		}
	}
	for _, other := range otherFamilies {
		if strings.HasPrefix(strings.ToLower(model), other.modelType) && len(other.modelType) > longest {
			is, nearest, longest = other.is, other.nearest, len(other.modelType)
		}
	}
	if is == "" && f.has("auto_map") {
		is = "custom code, auto_map"
	}
	if is != "" {
		is = " (" + is + ")"
	}
	return unsupportedf("%s: model_type: %s%s is not supported; nearest is %s; want one of: %s",
		f.file, quote(model), is, nearest, familyNames())
}

// notCrossEncoder makes the error for a model without a head that scores pairs, with its kind as far as its files tell
// it.
func (c *Checkpoint) notCrossEncoder(missing string) error {
	nearest := likeMiniLM
	if c.config.ModelType == "xlm-roberta" {
		nearest = likeBGE
	}
	class := c.config.Architecture
	otherHead := slices.ContainsFunc(
		[]string{"ForMaskedLM", "ForPreTraining", "ForNextSentencePrediction", "ForQuestionAnswering", "ForMultipleChoice"},
		func(suffix string) bool { return strings.HasSuffix(class, suffix) })
	is := "this looks like an embedding model, not a cross-encoder"
	switch {
	case c.sentenceModel == "SparseEncoder":
		is = "this is a sparse encoder (SPLADE), not a cross-encoder"
	case c.sentenceModel == "MultiVectorEncoder" || strings.HasSuffix(class, "ColBERT"):
		is = "this is a model of late interaction (ColBERT), not a cross-encoder"
	case otherHead && len(c.modules) == 0:
		is = "this is a " + shorten(class) + ", which needs training to become a cross-encoder"
	}
	return &kindError{
		"no " + missing + ": " + is + ", whose head scores a pair (...ForSequenceClassification); nearest is " + nearest,
		[]error{ErrNotCrossEncoder},
	}
}

// customCode returns the module of auto_map that computes the model, "modeling_x.XForSequenceClassification"; "" if there
// is none.
func (f *fields) customCode() string {
	all := f.object("auto_map")
	return cmp.Or(all.text("AutoModelForSequenceClassification", ""), all.text("AutoModel", ""))
}

// isEmpty reports whether a value is null, false or empty.
func isEmpty(v jsontext.Value) bool {
	return slices.Contains([]string{"null", "false", "{}", "[]", `""`}, strings.Join(strings.Fields(string(v)), ""))
}
