package weightstest

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// rawNumber is a JSON number that no Go type holds exactly.
type rawNumber string

func (n rawNumber) MarshalJSON() ([]byte, error) { return []byte(n), nil }

// Write writes the checkpoint folder dir: config.json, the safetensors files, tokenizer.json, tokenizer_config.json
// and special_tokens_map.json. The same Spec gives the same bytes everywhere.
func Write(dir string, s Spec) error {
	files, err := Files(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Files returns the files that Write writes, by name.
func Files(s Spec) (map[string][]byte, error) {
	special := map[string]any{
		"cls_token": "[CLS]", "mask_token": "[MASK]", "pad_token": "[PAD]", "sep_token": "[SEP]", "unk_token": "[UNK]",
	}
	values := map[string]any{
		"config.json":             s.config(),
		"tokenizer.json":          s.tokenizer(),
		"tokenizer_config.json":   s.tokenizerConfig(special),
		"special_tokens_map.json": special,
	}
	files := make(map[string][]byte)
	shards := s.split()
	if len(shards) == 1 {
		data, err := s.safetensors(shards[0])
		if err != nil {
			return nil, err
		}
		files["model.safetensors"] = data
	} else {
		totalBytes := 0
		weightMap := make(map[string]string)
		for i, list := range shards {
			name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
			data, err := s.safetensors(list)
			if err != nil {
				return nil, err
			}
			files[name] = data
			for _, t := range list {
				weightMap[t.name] = name
				totalBytes += t.size() * dtypeBytes[t.dtype]
			}
		}
		values["model.safetensors.index.json"] = map[string]any{
			"metadata": map[string]any{"total_size": totalBytes}, "weight_map": weightMap,
		}
	}
	for name, v := range values {
		data, err := marshal(v, "  ")
		if err != nil {
			return nil, fmt.Errorf("weightstest: %s: %w", name, err)
		}
		files[name] = data
	}
	return files, nil
}

// config returns config.json with the keys that transformers writes.
func (s *Spec) config() map[string]any {
	config := map[string]any{
		"architectures":           []string{"BertForSequenceClassification"},
		"hidden_act":              s.Activation,
		"hidden_size":             s.Hidden,
		"intermediate_size":       s.FeedForward,
		"max_position_embeddings": s.MaxPositions,
		"model_type":              "bert",
		"num_attention_heads":     s.Heads,
		"num_hidden_layers":       s.Layers,
		"pad_token_id":            slices.Index(s.Vocab, "[PAD]"),
		"torch_dtype":             map[string]string{"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[s.DType],
		"type_vocab_size":         s.TypeVocab,
		"vocab_size":              len(s.Vocab),
	}
	if s.NormEps != 0 {
		config["layer_norm_eps"] = s.NormEps
	}
	if s.LabelNames == nil {
		config["num_labels"] = s.Labels
	} else {
		id2label, label2id := make(map[string]string), make(map[string]int)
		for i, name := range s.LabelNames {
			id2label[strconv.Itoa(i)], label2id[name] = name, i
		}
		config["id2label"], config["label2id"] = id2label, label2id
	}
	return override(config, s.Config)
}

// tokenizerConfig returns tokenizer_config.json. It repeats tokenizer.json's settings of case, because transformers 5
// builds a BERT tokenizer anew from these keys and takes no more than the vocabulary from tokenizer.json.
func (s *Spec) tokenizerConfig(special map[string]any) map[string]any {
	config := map[string]any{
		"clean_up_tokenization_spaces": true,
		"do_lower_case":                !s.Cased,
		"strip_accents":                nil,
		"tokenize_chinese_chars":       true,
		"tokenizer_class":              "BertTokenizer",
	}
	maps.Copy(config, special)
	return override(config, s.TokenizerKeys)
}

// override sets keys in config, and removes those with a new value of nil.
func override(config, keys map[string]any) map[string]any {
	for k, v := range keys {
		if v == nil {
			delete(config, k)
		} else {
			config[k] = v
		}
	}
	return config
}

// split deals the tensors out to the shards, in order, so that each has about the same bytes.
func (s *Spec) split() [][]tensor {
	list := s.tensors()
	totalBytes := 0
	for _, t := range list {
		totalBytes += t.size() * dtypeBytes[t.dtype]
	}
	shards := make([][]tensor, s.Shards)
	before := 0
	for _, t := range list {
		i := before * s.Shards / totalBytes
		shards[i] = append(shards[i], t)
		before += t.size() * dtypeBytes[t.dtype]
	}
	return shards
}

var dtypeBytes = map[string]int{"F32": 4, "F16": 2, "BF16": 2, "I64": 8}

// safetensors returns one file: the header's size (8 bytes, little-endian), the header (JSON, filled up with spaces to
// a multiple of 8), the values. Like the reference writer it puts the widest dtype first and then goes by name.
func (s *Spec) safetensors(list []tensor) ([]byte, error) {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b tensor) int {
		return cmp.Or(dtypeBytes[b.dtype]-dtypeBytes[a.dtype], cmp.Compare(a.name, b.name))
	})
	type entry struct {
		DType   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	header := make(map[string]any)
	if s.Metadata != nil {
		header["__metadata__"] = s.Metadata
	}
	var values []byte
	for _, t := range list {
		begin := len(values)
		values = append(values, t.bytes(s.Seed)...)
		header[t.name] = entry{t.dtype, t.shape, [2]int{begin, len(values)}}
	}
	text, err := marshal(header, "")
	if err != nil {
		return nil, fmt.Errorf("weightstest: safetensors header: %w", err)
	}
	text = bytes.TrimSuffix(text, []byte("\n"))
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(file, text...), values...), nil
}

// marshal is json.Marshal without the escapes for HTML, which Python's writers do not make.
func marshal(v any, indent string) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	err := e.Encode(v)
	return out.Bytes(), err
}
