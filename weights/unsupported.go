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
	likeModern = "Alibaba-NLP/gte-reranker-modernbert-base (modernbert)"
	likeQwen   = "Qwen/Qwen3-Reranker-0.6B (qwen3)"
	likeGTE    = "Alibaba-NLP/gte-multilingual-reranker-base (new)"
)

// otherFamilies are families of models that are not supported: the beginnings of model_type in config.json, a description,
// and the nearest model that is supported.
var otherFamilies = []struct{ modelTypes, is, nearest string }{
	{"deberta", "DeBERTa of version 1: attention by relative positions", "cross-encoder/nli-roberta-base (roberta) or " + likeMiniLM},
	{"jina_bert", "JinaBERT with norms of queries and keys", likeJina},
	{"mpnet", "MPNet: attention with a learned bias for each distance", likeMiniLM},
	{"colbert", "ColBERT: late interaction, which gives an embedding for each token and no score for a pair", likeModern},
	{"colpali colqwen colidefics", "late interaction of images", likeMiniLM},
	{"t5 mt5 umt5 t5gemma", "T5: an encoder with a decoder (monoT5)", likeBGE},
	{"bart mbart pegasus led bigbird_pegasus prophetnet marian", "an encoder with a decoder", likeBGE},
	{"qwen", "Qwen: a language model", likeQwen},
	{"llama", "Llama: a language model", likeQwen},
	{"mistral ministral mixtral", "Mistral: a language model", likeQwen},
	{"gemma", "Gemma: a language model, as bge-reranker-v2-gemma is", likeQwen},
	{"minicpm", "MiniCPM: a language model, as bge-reranker-v2-minicpm is", likeQwen},
	{"phi gpt bloom opt olmo granite falcon deepseek cohere glm chatglm exaone smollm lfm stablelm mamba rwkv modernbert-decoder",
		"a language model", likeQwen},
	{"qwen2_vl qwen2_5_vl qwen3_vl clip chinese_clip siglip blip vilt visual_bert lxmert paligemma llava idefics smolvlm internvl pixtral " +
		"minicpmv flava align", "a model of text and images", likeBGE},
	{"vit dinov2 dinov3 beit deit swin resnet convnext", "a model of images", likeMiniLM},
	{"sew wav2vec2 whisper hubert qwen2_audio qwen3_omni clap", "a model of sound", likeMiniLM},
	{"layoutlm markuplm lilt", "text with its place on a page", likeMiniLM},
	{"longformer", "Longformer: windowed attention with global tokens", likeModern},
	{"big_bird", "BigBird: block-sparse attention", likeModern},
	{"xlnet", "XLNet: attention with relative positions", likeMiniLM},
	{"xlm-roberta-xl", "XLM-RoBERTa-XL: layer norms before attention", likeBGE},
	{"xlm", "XLM", likeBGE},
	{"eurobert", "EuroBERT: rotary positions and RMS norms, custom code", likeGTE},
	{"neobert", "NeoBERT: rotary positions and RMS norms, custom code", likeModern},
	{"roformer", "RoFormer: rotary positions", likeModern},
	{"mobilebert", "MobileBERT: bottlenecks in each layer", likeMiniLM},
	{"convbert", "ConvBERT: convolutions in attention", likeMiniLM},
	{"squeezebert", "SqueezeBERT: grouped convolutions", likeMiniLM},
	{"funnel", "Funnel: pooled sequences", likeMiniLM},
	{"fnet", "FNet: Fourier transforms instead of attention", likeMiniLM},
	{"reformer", "Reformer: attention by hashing", likeModern},
	{"canine", "CANINE: characters instead of tokens", likeBGE},
	{"ernie", "ERNIE: a BERT with task types", likeMiniLM},
	{"nystromformer", "Nyströmformer: approximate attention", likeBGE},
	{"rembert", "RemBERT: embeddings of another width", likeBGE},
	{"megatron-bert", "Megatron-BERT: layer norms before attention", likeMiniLM},
	{"roberta-prelayernorm", "RoBERTa with layer norms before attention", "cross-encoder/stsb-roberta-base (roberta)"},
	{"xmod", "X-MOD: adapters by language", likeBGE},
	{"esm", "ESM: proteins", likeMiniLM},
	{"flaubert", "FlauBERT", likeBGE},
}

// otherHeads are descriptions by the end of a model's class, for models that are in no family.
var otherHeads = []struct{ suffix, is string }{
	{"ForCausalLM", "a language model"},
	{"ForConditionalGeneration", "an encoder with a decoder, or a model of more than text"},
	{"ForRanking", "a model that ranks documents by custom code"},
	{"ForImageClassification", "a model of images"},
	{"ForAudioClassification", "a model of sound"},
}

// notRun makes the error for a model of another family, with its description, and the nearest model that is supported.
func (f *fields) notRun(model, architecture string) error {
	is, nearest, _ := otherFamily(model)
	for _, head := range otherHeads {
		if is == "" && strings.HasSuffix(architecture, head.suffix) {
			is = head.is
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

// otherFamily finds the description of a model_type by the longest beginning that there is of it.
func otherFamily(model string) (is, nearest string, known bool) {
	nearest, longest := likeBGE, 0
	for _, other := range otherFamilies {
		for begin := range strings.FieldsSeq(other.modelTypes) {
			if strings.HasPrefix(strings.ToLower(model), begin) && len(begin) > longest {
				is, nearest, longest, known = other.is, other.nearest, len(begin), true
			}
		}
	}
	return is, nearest, known
}

// notCrossEncoder makes the error for a model without a head that scores pairs, with its kind as far as its files tell
// it.
func (c *Checkpoint) notCrossEncoder(missing string) error {
	nearest := likeMiniLM
	if like, ok := map[string]string{"xlm-roberta": likeBGE, "modernbert": likeModern, "gte": likeGTE, "new": likeGTE, "qwen3": likeQwen, "qwen2": likeQwen, "llama_bidirec": likeQwen}[c.config.ModelType]; ok {
		nearest = like
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
