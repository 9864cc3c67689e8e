package weights

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// edited returns the tiny config with key set to a JSON value.
func edited(key, value string) string {
	src := configJSON(tiny)
	at := strings.Index(src, `"`+key+`":`)
	if at < 0 {
		return `{"` + key + `":` + value + `,` + src[1:]
	}
	end := at + strings.IndexAny(src[at:], ",}")
	if key == "id2label" {
		end = len(src) - 1 // the last key
	}
	return src[:at] + `"` + key + `":` + value + src[end:]
}

func TestParseConfig(t *testing.T) {
	minimal := Config{
		ModelType: "bert", HiddenSize: 768, Layers: 12, Heads: 12, FeedForward: 3072, VocabSize: 30522, MaxPositions: 512,
		TypeVocab: 2, LayerNormEps: 1e-12, Activation: GELU, Labels: []string{"LABEL_0", "LABEL_1"},
		EmbeddingSize: 768, TokenTypes: true, PoolerActivation: Tanh, LabelsUnstated: true,
	}
	vary := func(base Config, f func(*Config)) Config { f(&base); return base }
	for _, c := range []struct {
		json string
		want Config
	}{
		{configJSON(tiny), tiny},
		{`{"model_type":"bert"}`, minimal},
		{`{"model_type":"bert","hidden_size":null,"id2label":null,"architectures":null,"layer_norm_eps":null}`, minimal},
		{`{"architectures":["BertModel","X"]}`, vary(minimal, func(c *Config) { c.Architecture = "BertModel" })},
		{"\n{\"model_type\":\"bert\",\"num_labels\":1}\n ", vary(minimal, func(c *Config) { c.Labels, c.LabelsUnstated = []string{"LABEL_0"}, false })},
		{edited("layer_norm_eps", "1E-5"), vary(tiny, func(c *Config) { c.LayerNormEps = 1e-5 })},
		{edited("id2label", `{"2":"c","0":"a","1":7},"num_labels":3`), vary(tiny, func(c *Config) { c.Labels = []string{"a", "7", "c"} })},
		{edited("id2label", `{"0":"a","1":"b"},"num_labels":1`), vary(tiny, func(c *Config) { c.Labels = []string{"LABEL_0"} })},
		{edited("hidden_act", `"gelu_pytorch_tanh"`), vary(tiny, func(c *Config) { c.Activation = GELUNew })},
		{edited("hidden_act", `"gelu_fast"`), vary(tiny, func(c *Config) { c.Activation = GELUNew })},
		{edited("hidden_act", `"relu"`), vary(tiny, func(c *Config) { c.Activation = ReLU })},
		{edited("problem_type", `"regression"`), vary(tiny, func(c *Config) { c.ProblemType = "regression" })},
		{edited("position_embedding_type", `"absolute"`), tiny},
		{edited("is_decoder", `false`), tiny},
		{edited("torch_dtype", `"float16"`), tiny},
		{edited("sbert_ce_default_activation_function", `"torch.nn.modules.linear.Identity"`),
			vary(tiny, func(c *Config) { c.ScoreActivation = "torch.nn.modules.linear.Identity" })},
		{edited("sentence_transformers", `{"activation_fn":"torch.nn.modules.activation.Sigmoid","version":"4.1.0"},"sbert_ce_default_activation_function":"x"`),
			vary(tiny, func(c *Config) { c.ScoreActivation = "torch.nn.modules.activation.Sigmoid" })},
		{edited("sentence_transformers", `{"activation_fn":null},"sbert_ce_default_activation_function":"x"`), tiny},
		{`{"model_type":"electra"}`, vary(minimal, func(c *Config) {
			c.ModelType, c.HiddenSize, c.EmbeddingSize, c.Heads, c.FeedForward = "electra", 256, 128, 4, 1024
			c.PoolerActivation = GELU
		})},
		{`{"model_type":"roberta","type_vocab_size":1}`, vary(minimal, func(c *Config) {
			c.ModelType, c.VocabSize, c.MaxPositions, c.PositionOffset, c.TypeVocab, c.TokenTypes = "roberta", 50265, 510, 2, 1, false
		})},
		{`{"architectures":["XLMRobertaForSequenceClassification"],"max_position_embeddings":8194,"pad_token_id":0}`,
			vary(minimal, func(c *Config) {
				c.ModelType, c.Architecture = "xlm-roberta", "XLMRobertaForSequenceClassification"
				c.MaxPositions, c.PositionOffset, c.TokenTypes, c.LabelsUnstated = 8193, 1, false, false
			})},
		{`{"model_type":"distilbert","dim":24,"n_heads":3,"hidden_dim":48,"activation":"relu","layer_norm_eps":0.1}`,
			vary(minimal, func(c *Config) {
				c.ModelType, c.HiddenSize, c.EmbeddingSize, c.Heads, c.FeedForward, c.Layers = "distilbert", 24, 24, 3, 48, 6
				c.Activation, c.PoolerActivation, c.TypeVocab, c.TokenTypes = ReLU, ReLU, 1, false
			})},
		{`{"model_type":"distilbert","dim":24,"hidden_size":36,"num_attention_heads":3,"num_hidden_layers":2,"intermediate_size":5}`,
			vary(minimal, func(c *Config) {
				c.ModelType, c.HiddenSize, c.EmbeddingSize, c.Heads, c.FeedForward, c.Layers = "distilbert", 36, 36, 3, 3072, 2
				c.PoolerActivation, c.TypeVocab, c.TokenTypes = ReLU, 1, false
			})},
		{edited("sentence_transformers", `{"version":"4"},"sbert_ce_default_activation_function":"x"`),
			vary(tiny, func(c *Config) { c.ScoreActivation = "x" })},
	} {
		got, err := ParseConfig([]byte(c.json))
		c.want.KeyHeads, c.want.HeadSize = c.want.Heads, c.want.HiddenSize/c.want.Heads
		if err != nil {
			t.Errorf("%s\nerror %v", c.json, err)
		} else if d := cmp.Diff(c.want, got, cmpopts.IgnoreUnexported(Config{})); d != "" {
			t.Errorf("%s\n-want +got %s", c.json, d)
		}
	}
}

func TestParseConfigErrors(t *testing.T) {
	for _, c := range []struct{ json, want string }{
		{``, `begins with "", want a JSON object`},
		{`null`, `begins with "null", want a JSON object`},
		{`[]`, `begins with "[]", want a JSON object`},
		{"\xef\xbb\xbf{}", `begins with a byte order mark, want plain UTF-8`},
		{`{`, `the JSON ends in the middle: a download or a copy was cut off`},
		{`{} {}`, `not valid JSON: jsontext: invalid character '{' after top-level value after offset 3`},
		{`{"a":1,"a":2}`, `key "a" appears twice`},
		{`{"a":NaN}`, `not valid JSON: jsontext: invalid character 'N' at start of value within "/a" after offset 5`},
		{`{"model_type":"roberta","max_position_embeddings":2}`, `max_position_embeddings: 2, want more than pad_token_id + 1, 2`},
		{`{"model_type":"roberta","pad_token_id":-1}`, `pad_token_id: -1, want a whole number from 0 to 1048576`},
		{`{"model_type":"distilbert","dim":0}`, `dim: 0, want a whole number from 1 to 65536`},
		{`{}`, `no model_type, want a model's config of transformers with one of: ` + familyNames()},
		{`{"model_type":""}`, `no model_type, want a model's config of transformers with one of: ` + familyNames()},
		{`{"model_type":7}`, `model_type: 7, want a string`},
		{`{"architectures":"Bert"}`, `architectures: "Bert", want an array of strings`},
		{edited("hidden_size", `0`), `hidden_size: 0, want a whole number from 1 to 65536`},
		{edited("hidden_size", `-8`), `hidden_size: -8, want a whole number from 1 to 65536`},
		{edited("hidden_size", `1e12`), `hidden_size: 1e12, want a whole number from 1 to 65536`},
		{edited("hidden_size", `1000000000000`), `hidden_size: 1000000000000, want a whole number from 1 to 65536`},
		{edited("hidden_size", `8.0`), `hidden_size: 8.0, want a whole number from 1 to 65536`},
		{edited("hidden_size", `"8"`), `hidden_size: "8", want a whole number from 1 to 65536`},
		{edited("hidden_size", `true`), `hidden_size: true, want a whole number from 1 to 65536`},
		{edited("hidden_size", `7`), `hidden_size: 7, want a multiple of num_attention_heads, 2`},
		{edited("num_hidden_layers", `1000000000`), `num_hidden_layers: 1000000000, want a whole number from 1 to 1024`},
		{edited("num_attention_heads", `0`), `num_attention_heads: 0, want a whole number from 1 to 65536`},
		{edited("num_attention_heads", `16`), `hidden_size: 8, want a multiple of num_attention_heads, 16`},
		{edited("intermediate_size", `1048577`), `intermediate_size: 1048577, want a whole number from 1 to 1048576`},
		{edited("vocab_size", `16777217`), `vocab_size: 16777217, want a whole number from 1 to 16777216`},
		{edited("max_position_embeddings", `0`), `max_position_embeddings: 0, want a whole number from 1 to 1048576`},
		{edited("type_vocab_size", `0`), `type_vocab_size: 0, want a whole number from 1 to 1024`},
		{edited("layer_norm_eps", `0`), `layer_norm_eps: 0, want a number above 0, at most 1`},
		{edited("layer_norm_eps", `-1e-12`), `layer_norm_eps: -1e-12, want a number above 0, at most 1`},
		{edited("layer_norm_eps", `1e999`), `layer_norm_eps: 1e999, want a number above 0, at most 1`},
		{edited("layer_norm_eps", `"x"`), `layer_norm_eps: "x", want a number above 0, at most 1`},
		{edited("hidden_act", `1`), `hidden_act: 1, want a string`},
		{edited("id2label", `{}`), `id2label: {}, want 1 to 65536 labels`},
		{edited("id2label", `[]`), `id2label: [], want an object`},
		{edited("id2label", `{"1":"a"}`), `id2label: {"1":"a"}, want the keys 0 to 0`},
		{edited("id2label", `{"0":"a","2":"b"}`), `id2label: {"0":"a","2":"b"}, want the keys 0 to 1`},
		{edited("id2label", `{"0":"a","00":"b"}`), `id2label: {"0":"a","00":"b"}, want the keys 0 to 1`},
		{edited("id2label", `{"0":null}`), `id2label.0: null, want a string`},
		{edited("id2label", `{"0":"a","0":"b"}`), `key "0" appears twice`},
		{`{"model_type":"albert","num_hidden_groups":13}`, `num_hidden_groups: 13, want at most num_hidden_layers, 12`},
		{`{"model_type":"albert","inner_group_num":100}`, `inner_group_num: 100, want at most 1024 layers in all`},
		{`{"model_type":"bert","num_labels":0}`, `num_labels: 0, want a whole number from 1 to 65536`},
		{`{"model_type":"bert","num_labels":1000000000}`, `num_labels: 1000000000, want a whole number from 1 to 65536`},
		{edited("problem_type", `[]`), `problem_type: [], want a string`},
		{edited("is_decoder", `"no"`), `is_decoder: "no", want true or false`},
		{edited("sentence_transformers", `1`), `sentence_transformers: 1, want an object`},
		{edited("sentence_transformers", `{"activation_fn":1}`), `sentence_transformers.activation_fn: 1, want a string`},
		{edited("sbert_ce_default_activation_function", `{}`), `sbert_ce_default_activation_function: {}, want a string`},
		{edited("vocab_size", strings.Repeat("9", 1000)), `vocab_size: ` + strings.Repeat("9", 400) + `..., want a whole number from 1 to 16777216`},
		{strings.Repeat(" ", maxConfigBytes+1), `16.8 MB, want at most 16.8 MB`},
	} {
		_, err := ParseConfig([]byte(c.json))
		wantError(t, err, "weights: config.json: "+c.want, ErrInvalid)
	}
}

func TestParseConfigUnsupported(t *testing.T) {
	for _, c := range []struct{ json, want string }{
		{`{"model_type":"deberta","hidden_size":"never looked at"}`, `model_type: "deberta" (DeBERTa of version 1: attention by relative positions) is not supported; ` +
			`nearest is cross-encoder/nli-roberta-base (roberta) or cross-encoder/ms-marco-MiniLM-L6-v2 (bert); want one of: ` + familyNames()},
		{`{"model_type":"t5","architectures":["T5ForConditionalGeneration"]}`, `model_type: "t5" (T5: an encoder with a decoder (monoT5)) ` +
			`is not supported; nearest is BAAI/bge-reranker-v2-m3 (xlm-roberta); want one of: ` + familyNames()},
		{`{"model_type":"own","auto_map":{"AutoModel":"modeling.Own"}}`,
			`model_type: "own" (custom code, auto_map) is not supported; nearest is BAAI/bge-reranker-v2-m3 (xlm-roberta); want one of: ` + familyNames()},
		{`{"model_type":"olmo9","architectures":["Olmo9ForCausalLM"]}`,
			`model_type: "olmo9" (a language model) is not supported; nearest is Qwen/Qwen3-Reranker-0.6B (qwen3); want one of: ` + familyNames()},
		{`{"model_type":"qwen3_moe","architectures":["Qwen3MoeForCausalLM"]}`, `model_type: "qwen3_moe" (Qwen: a language model) ` +
			`is not supported; nearest is Qwen/Qwen3-Reranker-0.6B (qwen3); want one of: ` + familyNames()},
		{`{"model_type":"qwen2_vl","architectures":["JinaVLForRanking"]}`, `model_type: "qwen2_vl" (a model of text and images) ` +
			`is not supported; nearest is BAAI/bge-reranker-v2-m3 (xlm-roberta); want one of: ` + familyNames()},
		{`{"architectures":["LlamaEncoderModel"]}`, `architectures: "LlamaEncoderModel" (Llama: a language model) is not supported; ` +
			`nearest is Qwen/Qwen3-Reranker-0.6B (qwen3)`},
		{`{"model_type":"modernbert-decoder"}`, `model_type: "modernbert-decoder" (a language model) is not supported; ` +
			`nearest is Qwen/Qwen3-Reranker-0.6B (qwen3); want one of: ` + familyNames()},
		{`{"model_type":"bert","per_layer_config":{"0":{"num_attention_heads":2}}}`, `per_layer_config is not supported, want all layers alike`},
		{edited("position_embedding_type", `"relative_key"`), `position_embedding_type: "relative_key", want "absolute"; ` +
			`nearest is BAAI/bge-reranker-v2-m3 (xlm-roberta)`},
		{`{"model_type":"roberta","position_embedding_type":"alibi","auto_map":{"AutoModelForSequenceClassification":"x--modeling.Own"}}`,
			`position_embedding_type: "alibi" (custom code, auto_map: x--modeling.Own), want "absolute"; ` +
				`nearest is BAAI/bge-reranker-v2-m3 (xlm-roberta)`},
		{`{"model_type":"bert","position_embedding_type":"alibi","feed_forward_type":"swiglu"}`,
			`feed_forward_type: "swiglu", want "original", "geglu" or "reglu"`},
		{`{"model_type":"bert","position_embedding_type":"alibi","feed_forward_type":"geglu",
			"auto_map":{"AutoModel":"jinaai/jina-bert-v2-qk-post-norm--modeling_bert.JinaBertModel"}}`,
			`auto_map: "jinaai/jina-bert-v2-qk-post-norm--modeling_bert.JinaBertModel": norms of queries and keys are not supported; ` +
				`nearest is jinaai/jina-reranker-v1-turbo-en (bert with ALiBi)`},
		{edited("configuration_files", `["config.json","config.4.0.0.json"]`), `configuration_files: "config.4.0.0.json" is not supported: ` +
			`what it says should be in config.json`},
		{edited("transformers_weights", `"w.safetensors"`), `transformers_weights: "w.safetensors" is not supported: the weights should be in model.safetensors`},
		{edited("processor_class", `"XProcessor"`), `processor_class: "XProcessor" is not supported: the model takes more than text`},
		{edited("is_decoder", `true`), `is_decoder: true, want false: a cross-encoder reads in both directions`},
		{edited("add_cross_attention", `true`), `add_cross_attention: true, want false: a cross-encoder reads in both directions`},
		{edited("hidden_act", `"quick_gelu"`), `hidden_act: "quick_gelu", want one of: ` + activationNames()},
		{edited("hidden_act", `""`), `hidden_act: "", want one of: ` + activationNames()},
	} {
		_, err := ParseConfig([]byte(c.json))
		wantError(t, err, "weights: config.json: "+c.want, ErrUnsupported)
	}
}

func TestActivationString(t *testing.T) {
	if got := fmt.Sprint(GELU, GELUNew, ReLU, Activation(0), Activation(9)); got !=
		"gelu gelu_new relu invalid activation invalid activation" {
		t.Error(got)
	}
}
