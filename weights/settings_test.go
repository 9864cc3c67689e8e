package weights

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// modern, gte and nomic are configs with each value that their families read.
const (
	modern = `{"model_type":"modernbert","hidden_size":8,"num_attention_heads":2,"num_hidden_layers":4,"intermediate_size":6,"vocab_size":11,` +
		`"global_attn_every_n_layers":3,"local_attention":10,"num_labels":1}`
	gte   = `{"model_type":"gte","hidden_size":8,"num_attention_heads":2,"num_hidden_layers":1,"intermediate_size":6,"vocab_size":11,"num_labels":1}`
	nomic = `{"model_type":"nomic_bert","n_embd":8,"n_head":2,"n_layer":1,"n_inner":6,"vocab_size":11,"num_labels":1,"activation_function":"swiglu"}`
)

// newGTE has the model_type of GTE's custom code.
var newGTE = strings.Replace(gte, `"gte"`, `"new"`, 1)

// with puts a value into a config.
func withKey(config, key, value string) string { return `{"` + key + `":` + value + `,` + config[1:] }

// Values of config.json that make a model which is not implemented are refused by their names.
func TestSettingsRefused(t *testing.T) {
	for _, c := range []struct{ config, key, value, want string }{
		{modern, "classifier_pooling", `"max"`, `classifier_pooling: "max", want "cls" or "mean"`},
		{modern, "classifier_activation", `"sigmoid"`, `classifier_activation: "sigmoid", want one of: `},
		{modern, "hidden_activation", `"relu2"`, `hidden_activation: "relu2", want one of: `},
		{modern, "head_dim", `6`, `head_dim: 6, want hidden_size / num_attention_heads, 4`},
		{modern, "sliding_window", `4`, `sliding_window: 4, want local_attention / 2, 5`},
		{strings.Replace(modern, `"local_attention":10`, `"local_attention":1`, 1), "x", "1", `local_attention: 1, want a whole number from 2 to 1048576`},
		{modern, "norm_eps", `0`, `norm_eps: 0, want a number above 0, at most 1`},
		{modern, "norm_bias", `1`, `norm_bias: 1, want true or false`},
		{modern, "rope_scaling", `{"type":"yarn"}`, `rope_scaling: {"type":"yarn"} is not supported, leave it out`},
		{modern, "layer_types", `["full_attention"]`, `layer_types: ["full_attention"], want an array of 4 kinds of attention`},
		{modern, "layer_types", `["full_attention","x","x","x"]`, `layer_types: "x", want "full_attention" or "sliding_attention"`},
		{modern, "global_rope_theta", `0`, `global_rope_theta: 0, want a number above 0, at most 1e+12`},
		{modern, "local_rope_theta", `"a"`, `local_rope_theta: "a", want a number above 0, at most 1e+12`},
		{modern, "rope_parameters", `{"rope_theta":1}`, `rope_parameters.rope_theta is not supported: want rope_theta by kind of attention`},
		{modern, "rope_parameters", `{"full_attention":{"rope_type":"linear","factor":2}}`,
			`rope_parameters.full_attention.rope_type: "linear", want "default": rotary positions without scaling`},
		{modern, "rope_parameters", `{"full_attention":{"partial_rotary_factor":0.5}}`, `rope_parameters.full_attention.partial_rotary_factor: 0.5, want 1`},
		{strings.Replace(modern, `"hidden_size":8`, `"hidden_size":6`, 1), "x", "1", `heads of 3 values have no rotary positions, want an even number`},
		{modern, "partial_rotary_factor", `0.5`, `partial_rotary_factor: 0.5, want 1`},
		{modern, "is_causal", `true`, `is_causal: true, want false`},
		{modern, "local_rope_theta", `null`, `local_rope_theta: null, want a number above 0`},
		{gte, "partial_rotary_factor", `0.5`, `partial_rotary_factor: 0.5, want 1`},
		{gte, "rope_scaling", `{"factor":2}`, `rope_scaling.type is not supported: absent, want "ntk"`},
		{gte, "rope_scaling", `{"rope_type":"yarn","factor":2}`, `rope_scaling.type is not supported: absent, want "ntk"`},
		{gte, "rope_scaling", `{"type":"ntk","rope_type":"yarn","factor":2}`, `rope_scaling.rope_type: "yarn", want "ntk"`},
		{gte, "rope_scaling", `{"type":"ntk","factor":0.5}`, `rope_scaling.factor: 0.5, want at least 1`},
		{newGTE, "position_embedding_type", `"absolute"`, `position_embedding_type: "absolute", want "rope"`},
		{nomic, "causal", `true`, `causal: true, want false`},
		{nomic, "partial_rotary_factor", `0.5`, `partial_rotary_factor: 0.5, want 1`},
		{gte, "rope_scaling", `{"type":"yarn","factor":2}`, `rope_scaling.type: "yarn", want "ntk"`},
		{gte, "rope_scaling", `{"type":"ntk","factor":2,"mixed_b":0.6}`, `rope_scaling.mixed_b: 0.6 is not supported, leave it out`},
		{gte, "layer_norm_type", `"rms_norm"`, `layer_norm_type: "rms_norm", want "layer_norm"`},
		{gte, "logn_attention_scale", `true`, `logn_attention_scale: true is not supported, leave it out`},
		{gte, "position_embedding_type", `"relative"`, `position_embedding_type: "relative", want "absolute"`},
		{nomic, "rotary_emb_fraction", `0.5`, `rotary_emb_fraction: 0.5, want 1`},
		{nomic, "prenorm", `true`, `prenorm: true is not supported, leave it out`},
		{nomic, "qkv_proj_bias", `true`, `qkv_proj_bias: true is not supported, leave it out`},
		{strings.Replace(nomic, "swiglu", "gelu", 1), "x", "1", `activation_function: "gelu", want "swiglu"`},
	} {
		_, err := ParseConfig([]byte(withKey(c.config, c.key, c.value)))
		if err == nil || !strings.Contains(err.Error(), "weights: config.json: "+c.want) {
			t.Errorf("%s: %s: error %v, want %s", c.key, c.value, err, c.want)
		}
	}
}

// Kinds of attention are listed or periodic; thetas have two places; a theta that is scaled by NTK is another one.
func TestSettings(t *testing.T) {
	for _, c := range []struct {
		config, key, value string
		want               func(*modernBERT) bool
	}{
		{modern, "x", "1", func(m *modernBERT) bool {
			return m.window == 5 && m.pool == PoolFirst && m.global[1] == float32(1/math.Sqrt(160000)) && m.local[1] == 0.01 &&
				slices.Equal(m.kinds, []string{fullAttention, slidingAttention, slidingAttention, fullAttention})
		}},
		{modern, "layer_types", `["sliding_attention","full_attention","full_attention","full_attention"]`,
			func(m *modernBERT) bool { return m.kinds[0] == slidingAttention && m.kinds[2] == fullAttention }},
		{modern, "global_rope_theta", "400", func(m *modernBERT) bool { return m.global[1] == 0.05 && m.local[1] == 0.01 }},
		{modern, "rope_parameters", `{"sliding_attention":{"rope_theta":400.0}}`, func(m *modernBERT) bool { return m.local[1] == 0.05 }},
		{modern, "classifier_pooling", `"mean"`, func(m *modernBERT) bool { return m.pool == PoolMean }},
		{modern, "attention_bias", `true`, func(m *modernBERT) bool { return m.attentionBias && !m.innerBias }},
	} {
		config, err := ParseConfig([]byte(withKey(c.config, c.key, c.value)))
		if m, ok := config.own.(*modernBERT); err != nil || !ok || !c.want(m) {
			t.Errorf("%s: %s: %+v, error %v", c.key, c.value, config.own, err)
		}
	}
	for _, c := range []struct {
		config, key, value string
		second             float64 // frequency of two
	}{
		{gte, "x", "1", 1 / math.Sqrt(160000)},
		{newGTE, "position_embedding_type", `"rope"`, 0.01},
		{gte, "rope_theta", "400", 0.05},
		// 1/√(400 · 4), and by 4^(2/4).
		{gte, "rope_parameters", `{"rope_theta":400}, "rope_scaling":{"type":"ntk","factor":4}`, 0.0125},
		{gte, "rope_parameters", `{"rope_theta":400,"rope_type":"default"}`, 0.05},
		// 1/√(400 · 4), and by 4^(2/4).
		{withKey(gte, "rope_theta", "400"), "rope_scaling", `{"type":"ntk","factor":4}`, 0.0125},
		{nomic, "x", "1", 1 / math.Sqrt(1000)},
		{nomic, "rotary_emb_base", "400", 0.05},
	} {
		config, err := ParseConfig([]byte(withKey(c.config, c.key, c.value)))
		if b, ok := config.own.(*bertLike); err != nil || !ok || len(b.rotary) != 2 || b.rotary[1] != float32(c.second) {
			t.Errorf("%s: %s: %+v, want a second frequency of %g, error %v", c.key, c.value, config.own, c.second, err)
		}
	}
}

// headModule is a module of sentence-transformers for a test.
func modularFiles(pooling, dense, norm, scores string) map[string][]byte {
	of := func(name string, shape ...int) Tensor {
		t := Tensor{Name: name, DType: F32, Shape: shape}
		t.data = make([]byte, 4*t.Len())
		return t
	}
	files := tinyFiles()
	files[modulesFile] = []byte(`[{"path":"","type":"sentence_transformers.models.Transformer"},{"path":"1_Pooling","type":"sentence_transformers.models.Pooling"},` +
		`{"path":"2_Dense","type":"sentence_transformers.models.Dense"},{"path":"3_LayerNorm","type":"sentence_transformers.models.LayerNorm"},` +
		`{"path":"4_Dense","type":"sentence_transformers.models.Dense"}]`)
	files[sentenceFile] = []byte(`{"model_type":"CrossEncoder"}`)
	files["sentence_bert_config.json"] = []byte(`{"transformer_task":"feature-extraction","module_output_name":"token_embeddings"}`)
	files["1_Pooling/config.json"], files["2_Dense/config.json"] = []byte(pooling), []byte(dense)
	files["3_LayerNorm/config.json"], files["4_Dense/config.json"] = []byte(norm), []byte(scores)
	files["2_Dense/model.safetensors"] = writeSafetensors([]Tensor{of("linear.weight", 5, 8), of("linear.bias", 5)})
	files["3_LayerNorm/model.safetensors"] = writeSafetensors([]Tensor{of("norm.weight", 5), of("norm.bias", 5)})
	files["4_Dense/model.safetensors"] = writeSafetensors([]Tensor{of("linear.weight", 2, 5)})
	return files
}

const (
	okPooling = `{"word_embedding_dimension":8,"pooling_mode_cls_token":false,"pooling_mode_mean_tokens":true}`
	okDense   = `{"in_features":8,"out_features":5,"activation_function":"torch.nn.modules.activation.SiLU"}`
	okNorm    = `{"dimension":5}`
	okScores  = `{"in_features":5,"out_features":2,"bias":false,"activation_function":"torch.nn.modules.linear.Identity","module_output_name":"scores"}`
)

func TestModules(t *testing.T) {
	c, p, err := useAll(modularFiles(okPooling, okDense, okNorm, okScores))
	if err != nil {
		t.Fatal(err)
	}
	first, last := p.Head[0], p.Head[len(p.Head)-1]
	if len(p.Head) != 2 || p.Pool != PoolMean || first.Activation != SiLU || first.Norm == nil || first.Norm.Epsilon != 1e-5 ||
		last.Linear.Weight.Shape[0] != 2 || last.Activation != 0 || last.Linear.Bias.Len() != 2 || p.Labels != 2 {
		t.Errorf("head %+v, pool %d, %d labels", p.Head, p.Pool, p.Labels)
	}
	files := c.HeadFiles()
	if len(files) != 7 || !slices.Contains(files, "1_Pooling/config.json") || !slices.Contains(files, "4_Dense/model.safetensors") {
		t.Errorf("files of the head: %q", files)
	}
	for _, name := range files {
		if _, err := c.File(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"1_Pooling/other.json", "../config.json", "1_Pooling/../config.json"} {
		if _, err := c.File(name); err == nil {
			t.Errorf("File(%q) is no file of the head, and was read", name)
		}
	}
	for _, c := range []struct{ pooling, dense, norm, scores, want string }{
		{`{"embedding_dimension":9}`, okDense, okNorm, okScores, `1_Pooling/config.json: embedding_dimension: 9, want hidden_size of config.json`},
		{`{}`, okDense, okNorm, okScores, `1_Pooling/config.json: no embedding_dimension, want a whole number`},
		{`{"embedding_dimension":8,"pooling_mode":"max"}`, okDense, okNorm, okScores, `1_Pooling/config.json: pooling_mode: "max", want "cls" or "mean"`},
		{`{"embedding_dimension":8,"pooling_mode":["cls","mean"]}`, okDense, okNorm, okScores, `pooling_mode: "[\"cls\",\"mean\"]", want "cls" or "mean"`},
		{`{"embedding_dimension":8,"include_prompt":false}`, okDense, okNorm, okScores, `1_Pooling/config.json: include_prompt: false, want true`},
		{okPooling, `{"in_features":8}`, okNorm, okScores, `2_Dense/config.json: no out_features, want a whole number`},
		{okPooling, `{"in_features":8,"out_features":5,"use_residual":true}`, okNorm, okScores, `2_Dense/config.json: use_residual: true is not supported, leave it out`},
		{okPooling, `{"in_features":8,"out_features":5,"activation_function":"my.own"}`, okNorm, okScores, `2_Dense/config.json: activation_function: "my.own", want one of: `},
		{okPooling, `{"in_features":8,"out_features":5,"activation_function":null}`, okNorm, okScores, `2_Dense/config.json: activation_function: null, want `},
		{okPooling, `{"in_features":8,"out_features":5,"module_input_name":"x"}`, okNorm, okScores, `2_Dense/config.json: module_input_name: "x", want "sentence_embedding"`},
		{okPooling, `{"in_features":7,"out_features":5}`, okNorm, okScores, `modules.json: "2_Dense": 7 values in, want 8`},
		{okPooling, okDense, `{"dimension":6}`, okScores, `modules.json: "3_LayerNorm": 6 values in, want 5`},
		{okPooling, okDense, okNorm, `{"in_features":5,"out_features":2}`, `4_Dense/config.json: module_output_name: "sentence_embedding", want "scores"`},
	} {
		_, _, err := useAll(modularFiles(c.pooling, c.dense, c.norm, c.scores))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
	without := modularFiles(okPooling, okDense, okNorm, okScores)
	delete(without, "2_Dense/model.safetensors")
	if _, _, err := useAll(without); err == nil || !strings.Contains(err.Error(), "no 2_Dense/model.safetensors") {
		t.Errorf("without a module's weights: %v", err)
	}
	orphan := modularFiles(okPooling, okDense, okNorm, okScores)
	delete(orphan, sentenceFile)
	_, _, err = useAll(orphan)
	wantError(t, err, `weights: modules.json has a head that gives scores, but config_sentence_transformers.json has no model_type, `+
		`want "CrossEncoder": sentence-transformers takes the folder for an embedding model without it`, ErrInvalid)
	outside := with(modularFiles(okPooling, okDense, okNorm, okScores), modulesFile,
		`[{"path":"","type":"sentence_transformers.models.Transformer"},{"path":"..","type":"sentence_transformers.models.Pooling"}]`)
	if _, _, err := useAll(outside); err == nil || !strings.Contains(err.Error(), `path "..", want the name of a folder`) {
		t.Errorf("a module outside: %v", err)
	}
}

// A plan says which operations a backend lacks.
func TestLacking(t *testing.T) {
	_, p, err := useAll(tinyFiles())
	if err != nil || p.Lacking() != "" {
		t.Fatalf("a BERT lacks %q, %v", p.Lacking(), err)
	}
	for want, change := range map[string]func(*Plan){
		string(NormBefore): func(p *Plan) { p.KeepSum = true }, string(NoPositions): func(p *Plan) { p.Embeddings.Positions = nil },
		string(MeanPool): func(p *Plan) { p.Pool = PoolMean }, string(NoNorm): func(p *Plan) { p.Embeddings.Norm = nil },
		string(OtherHead):        func(p *Plan) { p.Head = p.Head[1:] },
		string(GatedFeedForward): func(p *Plan) { p.Layers[1].Gate = &p.Layers[1].Inner },
		string(RotaryPositions):  func(p *Plan) { p.Layers[0].Attention.Frequencies = []float32{1} },
		string(WindowAttention):  func(p *Plan) { p.Layers[1].Attention.Window = 3 },
		string(DistanceBias):     func(p *Plan) { p.Layers[0].Attention.Slopes = []float32{1, 2} },
	} {
		_, p, err := useAll(tinyFiles())
		if err != nil {
			t.Fatal(err)
		}
		change(p)
		if got := p.Lacking(); got != want {
			t.Errorf("lacks %q, want %q", got, want)
		}
		if got := p.Lacking(Operation(want)); got != "" {
			t.Errorf("lacks %q of a backend that has it", got)
		}
	}
}

// Buckets of distances are those of make_log_bucket_position in transformers 5.23.0 with 16 buckets and 128 positions.
func TestBuckets(t *testing.T) {
	r := Relative{Span: 16, Buckets: 16, Farthest: 128}
	for distance, want := range map[int]int{0: 0, 3: 3, 8: 8, 9: 9, 12: 10, 13: 10, 20: 11, 47: 13, 127: 15, 500: 19} {
		for _, sign := range []int{1, -1} {
			if got := r.bucket(sign * distance); got != sign*want {
				t.Errorf("bucket of %d is %d, want %d", sign*distance, got, sign*want)
			}
		}
	}
	if each := (Relative{Span: 8}); each.bucket(-300) != -300 || each.Row(-300) != 0 || each.Row(300) != 15 || each.Row(-3) != 5 {
		t.Error("without buckets, each distance has a row")
	}
}

// The values are those of get_slopes in github.com/ofirpress/attention_with_linear_biases for 12 heads and for one.
func TestAlibiSlopes(t *testing.T) {
	want := []float32{
		.5, .25, .125, .0625, .03125, .015625, .0078125, .00390625,
		float32(1 / math.Sqrt2), float32(math.Sqrt2 / 4), float32(math.Sqrt2 / 8), float32(math.Sqrt2 / 16),
	}
	if got := alibiSlopes(12); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := alibiSlopes(1); !slices.Equal(got, []float32{1. / 256}) {
		t.Errorf("one head: %v", got)
	}
}
