package weights

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Configs with each value that decoders must have.
const (
	qwen3 = `{"model_type":"qwen3","hidden_size":8,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":6,"num_hidden_layers":2,` +
		`"intermediate_size":6,"vocab_size":11,"num_labels":1}`
	qwen2 = `{"model_type":"qwen2","hidden_size":8,"num_attention_heads":2,"num_key_value_heads":1,"num_hidden_layers":1,"intermediate_size":6,"vocab_size":11,"num_labels":1}`
	llama = `{"model_type":"llama_bidirec","hidden_size":8,"num_attention_heads":2,"num_hidden_layers":1,"intermediate_size":6,"vocab_size":11,"num_labels":1}`
)

// Values of config.json that make a decoder which is not implemented are refused by their names.
func TestDecoderSettingsRefused(t *testing.T) {
	for _, c := range []struct{ config, key, value, want string }{
		{strings.Replace(qwen3, `"num_key_value_heads":2`, `"num_key_value_heads":3`, 1), "x", "1", `num_key_value_heads: 3, want a divisor of num_attention_heads, 4`},
		{strings.Replace(qwen3, `"num_key_value_heads":2,`, ``, 1), "x", "1", `num_key_value_heads: 32, want a divisor of num_attention_heads, 4`},
		{strings.Replace(qwen3, `"head_dim":6`, `"head_dim":5`, 1), "x", "1", `heads of 5 values have no rotary positions, want an even number`},
		{strings.Replace(qwen3, `"head_dim":6`, `"head_dim":null`, 1), "x", "1", `head_dim: null, want a whole number`},
		{strings.Replace(qwen3, `"head_dim":6`, `"head_dim":65537`, 1), "x", "1", `head_dim: 65537, want a whole number from 1 to 65536`},
		{strings.Replace(qwen2, `"hidden_size":8`, `"hidden_size":9`, 1), "x", "1", `hidden_size: 9, want a multiple of num_attention_heads, 2, or head_dim`},
		{qwen3, "use_sliding_window", `true`, `use_sliding_window: true, want false: a causal sliding window is not supported`},
		{qwen2, "layer_types", `["sliding_attention"]`, `layer_types: "sliding_attention", want "full_attention"`},
		{qwen3, "layer_types", `["full_attention"]`, `layer_types: ["full_attention"], want an array of 2 kinds of attention`},
		{qwen3, "hidden_act", `"quick_gelu"`, `hidden_act: "quick_gelu", want one of: `},
		{qwen3, "rms_norm_eps", `0`, `rms_norm_eps: 0, want a number above 0, at most 1`},
		{qwen3, "attention_bias", `1`, `attention_bias: 1, want true or false`},
		{qwen3, "tie_word_embeddings", `"no"`, `tie_word_embeddings: "no", want true or false`},
		{qwen3, "rope_theta", `0`, `rope_theta: 0, want a number above 0, at most 1e+12`},
		{qwen3, "rope_scaling", `{"rope_type":"yarn","factor":4.0}`, `rope_scaling.rope_type: "yarn", want "default" or "llama3"`},
		{qwen3, "rope_scaling", `{"type":"linear","factor":4.0}`, `rope_scaling.rope_type: "linear", want "default" or "llama3"`},
		{qwen3, "rope_scaling", `{"type":"default","mrope_section":[1,2]}`, `rope_scaling.mrope_section is not supported: want rotary positions of type default`},
		{qwen3, "rope_scaling", `{"rope_type":"default"},"rope_parameters":{"rope_theta":1}`, `rope_parameters: {"rope_theta":1} is not supported, leave it out`},
		{qwen3, "rope_parameters", `{"full_attention":{"rope_theta":1}}`, `rope_parameters.full_attention is not supported: want rotary positions of type default`},
		{qwen3, "rope_parameters", `{"rope_theta":"a"}`, `rope_parameters.rope_theta: "a", want a number above 0, at most 1e+12`},
		{qwen3, "rope_parameters", `{"partial_rotary_factor":0.5}`, `rope_parameters.partial_rotary_factor: 0.5, want 1`},
		{qwen3, "partial_rotary_factor", `0.5`, `partial_rotary_factor: 0.5, want 1`},
		{llama, "rope_scaling", `{"rope_type":"llama3","factor":8}`, `rope_scaling.low_freq_factor: absent, want a number`},
		{llama, "rope_scaling", `{"rope_type":"llama3","factor":0.5,"low_freq_factor":1,"high_freq_factor":4}`, `rope_scaling.factor: 0.5, want at least 1`},
		{llama, "rope_scaling", `{"rope_type":"llama3","factor":2,"low_freq_factor":4,"high_freq_factor":4}`, `rope_scaling.low_freq_factor: 4, want less than high_freq_factor`},
		{llama, "rope_scaling", `{"rope_type":"llama3","factor":2,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":0}`,
			`rope_scaling.original_max_position_embeddings: 0, want a whole number from 1 to 1048576`},
		{llama, "original_max_position_embeddings", `8`, `original_max_position_embeddings: 8 is not supported, leave it out`},
		{llama, "is_causal", `true`, `is_causal: true, want false: the published code reads in both directions`},
		{llama, "pooling", `"weighted_avg"`, `pooling: "weighted_avg", want "avg", "last" or "cls"`},
		{llama, "temperature", `0`, `temperature: 0, want a number above 0`},
		{qwen3, "is_causal", `0`, `is_causal: 0, want true or false`},
		{qwen3, "is_decoder", `true`, `is_decoder: true, want false`},
		{qwen3, "classifier_from_token", `["a","b","c"]`, `classifier_from_token: ["a","b","c"], want ["no", "yes"] or ["yes"]`},
		{qwen3, "classifier_from_token", `[""]`, `classifier_from_token: [""], want ["no", "yes"] or ["yes"]`},
		{withKey(qwen3, "method", `"no_post_processing"`), "classifier_from_token", `["no","yes"]`, `method: "no_post_processing", want "from_2_way_softmax"`},
	} {
		_, err := ParseConfig([]byte(withKey(c.config, c.key, c.value)))
		if err == nil || !strings.Contains(err.Error(), "weights: config.json: "+c.want) {
			t.Errorf("%s: %s: error %v, want %s", c.key, c.value, err, c.want)
		}
	}
}

// Values that are not in a config are transformers' defaults.
func TestDecoderDefaults(t *testing.T) {
	for config, want := range map[string]struct {
		keyHeads, size int
		theta          float64
		causal         bool
		pool           Pool
	}{
		`{"model_type":"qwen3"}`:         {32, 128, 10000, true, PoolLast},
		`{"model_type":"qwen2"}`:         {32, 128, 10000, true, PoolLast},
		`{"model_type":"llama_bidirec"}`: {32, 128, 10000, false, PoolMean},
		`{"model_type":"qwen3","num_key_value_heads":null,"num_attention_heads":7,"rope_theta":5,"is_causal":false}`:        {7, 128, 5, false, PoolLast},
		`{"model_type":"qwen2","num_key_value_heads":1,"hidden_size":64,"rope_parameters":{"rope_theta":6},"rope_theta":5}`: {1, 2, 6, true, PoolLast},
		`{"model_type":"llama_bidirec","num_attention_heads":8,"head_dim":4,"pooling":"last"}`:                              {8, 4, 10000, false, PoolLast},
	} {
		c, err := ParseConfig([]byte(config))
		if err != nil {
			t.Errorf("%s: %v", config, err)
			continue
		}
		d := c.own.(*decoder)
		if c.KeyHeads != want.keyHeads || c.HeadSize != want.size || d.theta != want.theta || d.causal != want.causal || d.pool != want.pool {
			t.Errorf("%s: %d heads of keys of %d, %+v, want %+v", config, c.KeyHeads, c.HeadSize, d, want)
		}
	}
}

// decoderFiles returns the files of a decoder of engine/testdata/families, without sentence-transformers'.
func decoderFiles(t *testing.T, name string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, file := range []string{configFile, weightsFile, tokenizerFile} {
		data, err := os.ReadFile(filepath.Join("..", "engine", "testdata", "families", name, file))
		if err != nil {
			t.Fatal(err)
		}
		files[file] = data
	}
	return files
}

// keyed puts a value into the config of files.
func keyed(files map[string][]byte, key, value string) map[string][]byte {
	return with(files, configFile, withKey(string(files[configFile]), key, value))
}

// logitScore adds sentence-transformers' files to a language model's.
func logitScore(files map[string][]byte, settings string) map[string][]byte {
	files = maps.Clone(files)
	files[modulesFile] = []byte(`[{"path":"","type":"sentence_transformers.models.Transformer"},` +
		`{"path":"1_LogitScore","type":"sentence_transformers.cross_encoder.modules.logit_score.LogitScore"}]`)
	files[sentenceFile] = []byte(`{"model_type":"CrossEncoder"}`)
	files["sentence_bert_config.json"] = []byte(`{"transformer_task":"text-generation","module_output_name":"causal_logits",` +
		`"modality_config":{"message":{"method":"forward","method_output_name":"logits","format":"flat"}}}`)
	files["1_LogitScore/config.json"] = []byte(settings)
	return files
}

// A score is the row of one token, less that of another, which files or the model's name choose.
func TestScoreTokens(t *testing.T) {
	files := decoderFiles(t, "qwen3")
	ids, err := (&Checkpoint{src: &source{files: files}}).tokenIDs([]string{"no", "yes"})
	if err != nil {
		t.Fatal(err)
	}
	no, yes := ids[0], ids[1]
	for _, c := range []struct {
		name    string
		files   map[string][]byte
		yes, no int
		named   bool
	}{
		{"x", logitScore(files, `{"true_token_id":7,"false_token_id":9}`), 7, 9, false},
		{"x", logitScore(files, `{"true_token_id":7,"false_token_id":null}`), 7, noToken, false},
		{"Qwen3-Reranker-0.6B", logitScore(keyed(files, classifierKey, `["no","yes"]`), `{"true_token_id":7}`), 7, noToken, false},
		{"Qwen3-Reranker-0.6B", keyed(files, classifierKey, `["yes","no"]`), no, yes, false},
		{"x", keyed(files, classifierKey, `["no"],"method":"no_post_processing"`), no, noToken, false},
		{"Qwen3-Reranker-0.6B-4bit", files, yes, no, true},
		{"x", with(files, cardFile, "---\nbase_model: Qwen/Qwen3-Reranker-4B\n---\n"), yes, no, true},
	} {
		checkpoint, err := FromMemory(c.name, c.files)
		if err != nil {
			t.Error(err)
			continue
		}
		p, err := checkpoint.Plan()
		if err != nil {
			t.Error(err)
			continue
		}
		want, second := make([]float32, p.Hidden), make([]float32, p.Hidden)
		p.Embeddings.Words.Float32s(want, c.yes*p.Hidden)
		if c.no != noToken {
			p.Embeddings.Words.Float32s(second, c.no*p.Hidden)
		}
		for i := range want {
			want[i] -= second[i]
		}
		got := make([]float32, p.Hidden)
		head := p.Head[0].Linear.Weight
		if head.Float32s(got, 0); !slices.Equal(got, want) || !slices.Equal(head.Shape, []int{1, p.Hidden}) || len(checkpoint.Config().Labels) != 1 {
			t.Errorf("%s, %d less %d: another row", c.name, c.yes, c.no)
		}
		if named := checkpoint.NamedTokens(); (named != nil) != c.named || c.named && !slices.Equal(named, []string{"no", "yes"}) {
			t.Errorf("%s: named tokens %q", c.name, named)
		}
	}
}

// Where no file says how a language model scores, or files disagree, it is refused.
func TestScoreTokensRefused(t *testing.T) {
	files := decoderFiles(t, "qwen3")
	chat := `weights: config.json: architectures: "Qwen3ForCausalLM": a language model, and no file says that it is a reranker. Want modules.json ` +
		`with a LogitScore, or "classifier_from_token": ["no", "yes"] in config.json, with the tokens of which the second speaks for a document, ` +
		`or the name of a reranker that is known; nearest is Qwen/Qwen3-Reranker-0.6B (qwen3)`
	embedding := with(with(files, modulesFile, `[{"path":"","type":"sentence_transformers.models.Transformer"},{"path":"1_Pooling","type":"sentence_transformers.models.Pooling"}]`),
		sentenceFile, `{"model_type":"SentenceTransformer"}`)
	twice := func(change byte) map[string][]byte {
		c, err := FromMemory("x", keyed(files, classifierKey, `["yes"]`))
		if err != nil {
			t.Fatal(err)
		}
		all := c.Tensors()
		i := slices.IndexFunc(all, func(x Tensor) bool { return x.Name == "model.embed_tokens.weight" })
		head := all[i]
		head.Name, head.data = "lm_head.weight", bytes.Clone(head.data)
		for i := range head.data {
			head.data[i] ^= change
		}
		return with(keyed(files, classifierKey, `["yes"]`), weightsFile, string(writeSafetensors(append(all, head))))
	}
	if _, _, err := useAll(twice(0)); err != nil {
		t.Errorf("the same head twice: %v", err)
	}
	for _, c := range []struct {
		files map[string][]byte
		want  string
		kind  error
	}{
		{files, chat, ErrNotCrossEncoder},
		{embedding, chat, ErrNotCrossEncoder},
		{logitScore(tinyFiles(), `{"true_token_id":1}`), `weights: modules.json: a CrossEncoder of the modules Transformer, LogitScore is not supported, want a ` +
			`Transformer alone, as of a ...ForSequenceClassification, or with Pooling, then Dense, LayerNorm and Dropout`, ErrUnsupported},
		{logitScore(files, `{}`), `weights: 1_LogitScore/config.json: no true_token_id, want the id of a token`, ErrInvalid},
		{logitScore(files, `{"true_token_id":-1}`), `weights: 1_LogitScore/config.json: true_token_id: -1, want a whole number from 0 to 16777216`, ErrInvalid},
		{logitScore(files, `{"true_token_id":1,"false_token_id":560}`), `weights: fixture: token 560 makes the score, but vocab_size is 560`, ErrInvalid},
		{logitScore(files, `{"true_token_id":1,"module_input_name":"x"}`), `weights: 1_LogitScore/config.json: module_input_name: "x", want "causal_logits"`, ErrUnsupported},
		{with(logitScore(files, ``), "1_LogitScore/config.json", "-"), `weights: fixture: no 1_LogitScore/config.json: file does not exist`, fs.ErrNotExist},
		{keyed(files, classifierKey, `["none such"]`), `weights: tokenizer.json: no token "none such", whose logit the score is made of`, ErrInvalid},
		{with(keyed(files, classifierKey, `["yes"]`), tokenizerFile, "-"), `weights: fixture: no tokenizer.json, which has the ids of "yes": file does not exist`, fs.ErrNotExist},
		{with(keyed(files, classifierKey, `["yes"]`), configFile, strings.Replace(string(keyed(files, classifierKey, `["yes"]`)[configFile]), `"tie_word_embeddings": true`, `"tie_word_embeddings": false`, 1)),
			`weights: no tensor "lm_head.weight", and tie_word_embeddings is not true: the score is made of its rows`, ErrInvalid},
		{twice(1), `weights: tensor "lm_head.weight": row 306 is not that of the embeddings, but tie_word_embeddings is true`, ErrInvalid},
	} {
		_, _, err := useAll(c.files)
		wantError(t, err, c.want, c.kind)
	}
}

// Of the head over the vocabulary only the rows of the score are read, and nothing of the rest of the model.
func TestHeadIsNotRead(t *testing.T) {
	files := decoderFiles(t, "qwen3_untied")
	c, err := Open(writeFolder(t, files))
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Plan()
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Head[0].Linear.Weight.SizeBytes(); got != 4*p.Hidden {
		t.Errorf("the head has %d bytes, want a row of %d", got, 4*p.Hidden)
	}
	for _, x := range []Tensor{p.Embeddings.Words, p.Layers[0].Query.Weight} {
		if x.data != nil {
			t.Errorf("%q was read", x.Name)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// A config of huge heads, which the file does not have, is an error before any memory is taken for them.
func TestDecoderHostileHeads(t *testing.T) {
	files := decoderFiles(t, "qwen3_seqcls")
	config := string(files[configFile])
	for _, change := range [][2]string{{`"num_attention_heads": 2`, `"num_attention_heads": 65536`}, {`"head_dim": 128`, `"head_dim": 65536`}} {
		if !strings.Contains(config, change[0]) {
			t.Fatalf("no %s", change[0])
		}
		config = strings.Replace(config, change[0], change[1], 1)
	}
	before := new(runtime.MemStats)
	runtime.ReadMemStats(before)
	_, _, err := useAll(with(files, configFile, config))
	wantError(t, err, `weights: tensor "model.layers.0.self_attn.q_norm.weight": shape [128], want [65536]`, ErrInvalid)
	after := new(runtime.MemStats)
	if runtime.ReadMemStats(after); after.TotalAlloc-before.TotalAlloc > 64<<20 {
		t.Errorf("%d bytes were taken", after.TotalAlloc-before.TotalAlloc)
	}
}
