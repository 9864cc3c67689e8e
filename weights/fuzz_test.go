package weights

import (
	"runtime/metrics"
	"strings"
	"testing"
)

// allocated returns the bytes that f takes from the heap in all, whether or not they are freed again.
func allocated(f func()) int {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	f()
	metrics.Read(sample)
	return int(sample[0].Value.Uint64() - before)
}

// allowance returns the bytes that reading n bytes may allocate. The factor covers the worst case, a header of nothing
// but tensors of 0 bytes: for 50 bytes of text there are then a tensor, its name, two index entries, and their growth.
func allowance(n int) int { return 1<<20 + 64*n }

// checkOpen opens files, uses the checkpoint if they open, and bounds the memory.
func checkOpen(t *testing.T, size int, files map[string][]byte) {
	t.Helper()
	var c *Checkpoint
	var b *Plan
	cost := allocated(func() { c, b, _ = useAll(files) })
	if c != nil {
		checkConsistent(t, c, b)
	}
	if cost > allowance(size) {
		t.Errorf("%d bytes allocated for %d of input", cost, size)
	}
}

func FuzzSafetensors(f *testing.F) {
	files := smallestFiles()
	f.Add(files[weightsFile])
	for _, header := range []string{
		`{}`, `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, `{"__metadata__":{"format":"pt"}}   `,
		`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"b":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]}}`,
		`{"a":{"dtype":"F4","shape":[16],"data_offsets":[0,8],"x":{"y":[1,"z"]}}}`,
		`{"a":{"dtype":"I64","shape":[4294967296,4294967296,0],"data_offsets":[0,8]}}`,
	} {
		f.Add(rawSafetensors(header, make([]byte, 8)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkOpen(t, len(data), with(files, weightsFile, string(data)))
	})
}

// FuzzHeader spares the fuzzer from finding the length in front of the header.
func FuzzHeader(f *testing.F) {
	files := smallestFiles()
	f.Add(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8)
	f.Add(`{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[3,1],"data_offsets":[0,6]}}`, 6)
	f.Fuzz(func(t *testing.T, header string, dataBytes int) {
		data := rawSafetensors(header, make([]byte, max(0, min(dataBytes, 1<<12))))
		checkOpen(t, len(data), with(files, weightsFile, string(data)))
	})
}

func FuzzConfig(f *testing.F) {
	files := smallestFiles()
	f.Add(configJSON(tiny))
	f.Add(`{"model_type":"bert","id2label":{"0":"a","1":2},"sentence_transformers":{"activation_fn":"torch.nn.modules.activation.Sigmoid"}}`)
	f.Add(`{"architectures":["BertModel"],"num_labels":3,"hidden_act":"gelu_new","is_decoder":false,"layer_norm_eps":1e-5}`)
	for _, family := range []string{modern, gte, newGTE, nomic} {
		f.Add(family)
		f.Add(withKey(family, "rope_parameters", `{"rope_theta":3},"rope_scaling":{"type":"ntk","factor":2},"layer_types":["full_attention"]`))
	}
	f.Add(`{"model_type":"deberta-v2","relative_attention":true,"pos_att_type":"c2p|p2c","position_buckets":16,"max_relative_positions":-1}`)
	f.Add(`{"model_type":"bert","position_embedding_type":"alibi","feed_forward_type":"geglu","num_attention_heads":12,"auto_map":{"AutoModel":"x"}}`)
	f.Add(`{"model_type":"albert","num_hidden_groups":2,"inner_group_num":3,"embedding_size":8,"hidden_size":8,"num_attention_heads":2}`)
	f.Fuzz(func(t *testing.T, config string) {
		// num_labels makes labels without input for them: up to 65536 of them, each with its slot and its name.
		checkOpen(t, len(config)+(maxLabels*64)/64, with(files, configFile, config))
		if c, err := ParseConfig([]byte(config)); err == nil && (c.HiddenSize%c.Heads != 0 || len(c.Labels) == 0 || c.Activation == 0) {
			t.Errorf("%+v", c)
		}
	})
}

func FuzzIndex(f *testing.F) {
	files := shardedFiles()
	f.Add(string(files[indexFile]))
	f.Add(`{"weight_map":{"a":"model-00001-of-00002.safetensors"},"metadata":{"total_size":1e9}}`)
	f.Add(`{"weight_map":{"a":"../x.safetensors"}}`)
	shards := len(files["model-00001-of-00002.safetensors"]) + len(files["model-00002-of-00002.safetensors"])
	f.Fuzz(func(t *testing.T, index string) {
		checkOpen(t, len(index)+shards, with(files, indexFile, index))
		shardOf, err := parseIndex(indexFile, ".safetensors", []byte(index))
		if err != nil {
			return
		}
		for name, shard := range shardOf {
			if strings.ContainsAny(shard, `/\:`) || !strings.HasSuffix(shard, ".safetensors") {
				t.Errorf("tensor %q: shard %q", name, shard)
			}
		}
	})
}

func FuzzCard(f *testing.F) {
	f.Add("---\nlicense: mit\nlanguage:\n- en\nbase_model: [a/b]\n---\n# text")
	f.Add("---\r\nlicense: >\r\n  x\r\n'license_name': \"y\"\r\n---\r\n")
	f.Fuzz(func(_ *testing.T, readme string) {
		_, _ = parseCard([]byte(readme))
	})
}

// FuzzSentence varies the files of sentence-transformers.
func FuzzSentence(f *testing.F) {
	files := smallestFiles()
	module := `[{"type":"sentence_transformers.base.modules.transformer.Transformer","path":""}]`
	for _, seed := range [][3]string{
		{module, `{"model_type":"CrossEncoder","prompts":{"a":"b"},"default_prompt_name":"a"}`, `{"max_seq_length":9,"do_lower_case":true}`},
		{module, `{}`, `{"transformer_task":"sequence-classification","processing_kwargs":{"text":{"max_length":9},"common":{"truncation":true}}}`},
		{module, `{"model_type":"CrossEncoder"}`, `{"modality_config":{"text":{"method":"forward"}},"tokenizer_args":{"model_max_length":9}}`},
		{`[{"type":"a.Transformer"},{"type":"Dense","path":"1"}]`, `{"activation_fn":"torch.nn.Tanh"}`, `{"model_args":{"x":null}}`},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, modules, config, transformer string) {
		files := with(with(with(files, modulesFile, modules), sentenceFile, config), transformerFiles[0], transformer)
		checkOpen(t, len(modules)+len(config)+len(transformer), files)
		c, err := FromMemory("fuzz", files)
		if err != nil {
			return
		}
		if s := c.PairSettings(); s.Length < 0 || len(s.Prompt) > maxPrompt {
			t.Errorf("%+v", s)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// FuzzModules varies the files of a head in modules of its own.
func FuzzModules(f *testing.F) {
	files := modularFiles(okPooling, okDense, okNorm, okScores)
	list := string(files[modulesFile])
	f.Add(list, okPooling, okDense, okScores)
	f.Add(strings.Replace(list, "LayerNorm", "Dropout", 1), `{"embedding_dimension":8,"pooling_mode":["cls"]}`, okDense, okScores)
	f.Add(strings.Replace(list, "3_LayerNorm", "2_Dense", 1), `{"embedding_dimension":8,"pooling_mode_max_tokens":true}`, `{"in_features":8,"out_features":65536}`, okScores)
	f.Fuzz(func(t *testing.T, modules, pooling, dense, scores string) {
		files := modularFiles(pooling, dense, okNorm, scores)
		files[modulesFile] = []byte(modules)
		size := 0
		for _, data := range files {
			size += len(data)
		}
		// A Dense makes labels and biases without input for them, as many as maxHeadWidth.
		var c *Checkpoint
		var p *Plan
		var err error
		if cost := allocated(func() { c, p, err = useAll(files) }); cost > allowance(size+2*maxHeadWidth) {
			t.Errorf("%d bytes allocated for %d of input", cost, size)
		}
		if err != nil {
			return
		}
		if last := p.Head[len(p.Head)-1]; last.Linear == nil || last.Linear.Weight.Shape[0] != len(c.Config().Labels) || len(p.Head) > maxModules {
			t.Errorf("head %+v of %d labels", p.Head, len(c.Config().Labels))
		}
	})
}
