package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/weights/weightstest"
)

func TestConvert(t *testing.T) {
	gguf := filepath.Join("..", "..", "engine", "testdata", "gguf", "distilbert", "model.gguf")
	bertGGUF := filepath.Join("..", "..", "engine", "testdata", "gguf", "bert", "model.gguf")
	spec := weightstest.Specs()[0]
	model, made := checkpoint(t, spec), filepath.Join(t.TempDir(), "deep", "made")
	status, stdout, stderr := execute(t, t.Context(), "", "convert", model, made, "--dtype", "int4", "--skip", "*.pooler.*")
	if status != 0 || !strings.HasPrefix(stdout, made+": 0.1 MB of weights, from 0.4 MB, in ") {
		t.Fatalf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	// The converted folder is a model like any other.
	status, stdout, stderr = execute(t, t.Context(), "a b\nc d\n", "rerank", "--model", made, "-q", "a", "--format=tsv")
	if rows := strings.Split(strings.TrimSpace(stdout), "\n"); status != 0 || len(rows) != 3 {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	status, stdout, stderr = execute(t, t.Context(), "", "info", made, "--tensors", "--against", model)
	for _, want := range []string{
		"4 bits in groups of 64, 2 layers otherwise", "[64 64]", "int4/64 F16", "int8/64 F16", "2304 bytes", "max |Δ| 0.0", "relative RMS 0",
	} {
		if status != 0 || !strings.Contains(stdout, want) {
			t.Errorf("info: status %d, no %q in %q, stderr %q", status, want, stdout, stderr)
		}
	}
	status, stdout, stderr = execute(t, t.Context(), "", "convert", gguf, made+"-gguf", "--dtype=fp16")
	if status != 0 || !strings.HasPrefix(stdout, made+"-gguf: 0.2 MB of weights, from 0.1 MB, in ") {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	status, stdout, stderr = execute(t, t.Context(), "", "info", "--model", gguf, "--tensors", "--against", made+"-gguf")
	for _, want := range []string{"Q8_0 (3 tensors, ", "distilbert.transformer.layer.1.ffn.lin2.weight", "Q6_K", "max |Δ| 0"} {
		if status != 0 || !strings.Contains(stdout, want) {
			t.Errorf("info: status %d, no %q in %q, stderr %q", status, want, stdout, stderr)
		}
	}
	pairs := filepath.Join(t.TempDir(), "pairs.jsonl")
	if err := os.WriteFile(pairs, []byte(`{"query":"a b","text":"c d e"}`+"\n"+`{"query":"the cat","text":"sat on the mat"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"mlx", "w8a8"} {
		to := made + "-" + scheme
		args := []string{"convert", model, to, "--dtype=int8", "--scheme", scheme, "--calibrate", pairs}
		if scheme == "w8a8" {
			args = append(args, "--embedding-levels=63")
		}
		if status, _, stderr := execute(t, t.Context(), "", args...); status != 0 ||
			!strings.Contains(stderr, "calibrating with 2 pairs") {
			t.Fatalf("status %d, stderr %q", status, stderr)
		}
		status, stdout, stderr = execute(t, t.Context(), "a b\nc d\n", "rerank", "--model", to, "-q", "a", "--format=tsv")
		if rows := strings.Split(strings.TrimSpace(stdout), "\n"); status != 0 || len(rows) != 3 {
			t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
		}
	}
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{model, made + "2", "--dtype=fp16", "--calibrate", pairs}, exitUsage, "--calibrate goes with int8 and less, got --dtype=fp16"},
		{[]string{model, made + "2", "--dtype=int8", "--embedding-levels=63"}, exitUsage, "--embedding-levels goes with --scheme=w8a8, got mlx"},
		{[]string{model, made + "2", "--dtype=int8", "--scheme=w8a8", "--embedding-levels=128"}, exitUsage, "--embedding-levels is 128, want 0 to 127"},
		{[]string{model, made + "2", "--dtype=int8", "--calibrate", os.DevNull}, exitFailed, "no pairs"},
		{[]string{model, made + "2", "--dtype=int8", "--calibrate", filepath.Join(model, "config.json")}, exitFailed, "config.json: line 1: "},
		{[]string{bertGGUF, made + "2", "--dtype=fp16"}, exitFailed, "no bert.pooler.dense.weight and no bert.pooler.dense.bias"},
		{[]string{model, made}, exitUsage, "missing flags: --dtype"},
		{[]string{model, made, "--dtype=int5"}, exitUsage, "--dtype must be one of"},
		{[]string{model, made, "--dtype=int4", "--scheme=w8a8"}, exitUsage, "--scheme=w8a8 goes with --dtype=int8, got int4"},
		{[]string{model, made, "--dtype=fp16", "--float=bf16"}, exitUsage, "--float goes with int8 and less, got --dtype=fp16"},
		{[]string{model, made, "--dtype=int4", "--group-size=48"}, exitUsage, "--group-size must be one of"},
		{[]string{model, made, "--dtype=int4"}, exitFailed, "made: file already exists"},
		{[]string{"no/such/folder", made + "2", "--dtype=int4"}, exitFailed, "no/such/folder"},
		{[]string{model, made + "2", "--dtype=int4", "--skip=["}, exitFailed, `skip "["`},
	} {
		status, stdout, stderr := execute(t, t.Context(), "", append([]string{"convert"}, c.args...)...)
		if status != c.status || !strings.Contains(stderr, c.want) || stdout != "" {
			t.Errorf("%v: status %d, want %d; stdout %q, stderr %q, want a part %q", c.args, status, c.status, stdout, stderr, c.want)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(made)); err != nil || len(left) != 4 {
		t.Errorf("left beside the folder: %v, %v", left, err)
	}
}

// A model that can't be opened is not converted, whether the target exists or not: nothing is written, and the error is
// that of opening.
func TestConvertResolvesTheModelFirst(t *testing.T) {
	spec := weightstest.Specs()[0]
	for name, change := range map[string][2]string{ // a file, and its new text; a key and its value are added to JSON
		"custom code":       {"config.json", `"auto_map": {"AutoModelForSequenceClassification": "modeling_x.X"}, "num_hidden_layers": 3`},
		"another family":    {"config.json", `"model_type": "t5"`},
		"types":             {"config.json", `"type_vocab_size": 1`},
		"activation":        {"config.json", `"sbert_ce_default_activation_function": "my.own"`},
		"modules":           {"modules.json", `[{"type": "a.Transformer", "path": ""}, {"type": "a.Dense", "path": "1"}]`},
		"sentence":          {"config_sentence_transformers.json", `{"model_type": "CrossEncoder", "activation_fn": 1}`},
		"no tokenizer":      {"tokenizer.json", ""},
		"tokenizer in LFS":  {"tokenizer.json", "version https://git-lfs.github.com/spec/v1\n"},
		"tokenizer's class": {"tokenizer_config.json", `{"tokenizer_class": "LlamaTokenizer"}`},
		"tokenizer's side":  {"tokenizer_config.json", `{"truncation_side": "up"}`},
		"special tokens":    {"special_tokens_map.json", `{"cls_token": 1}`},
		"adapter":           {"adapter_config.json", `{}`},
		"weights":           {"model.safetensors", "<html></html>"},
	} {
		t.Run(name, func(t *testing.T) {
			model := checkpoint(t, spec)
			file, text := filepath.Join(model, change[0]), change[1]
			if change[0] == "config.json" {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				fields := map[string]any{}
				if err := errors.Join(json.Unmarshal(data, &fields), json.Unmarshal([]byte("{"+text+"}"), &fields)); err != nil {
					t.Fatal(err)
				}
				if data, err = json.Marshal(fields); err != nil {
					t.Fatal(err)
				}
				text = string(data)
			}
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if name == "modules" {
				if err := os.WriteFile(filepath.Join(model, "config_sentence_transformers.json"), []byte(`{"model_type": "CrossEncoder"}`), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			status, _, opening := execute(t, t.Context(), "", "info", model)
			if status != exitFailed || opening == "" {
				t.Fatalf("info: status %d, stderr %q", status, opening)
			}
			there := t.TempDir()
			for _, target := range []string{filepath.Join(there, "deep", "made"), there} {
				for _, args := range [][]string{{"--dtype=fp16"}, {"--dtype=int4"}, {"--dtype=int8", "--scheme=w8a8"}, {"--dtype=int8", "--calibrate=no/such/file"}} {
					status, stdout, stderr := execute(t, t.Context(), "", append([]string{"convert", model, target}, args...)...)
					if status != exitFailed || stderr != opening || stdout != "" {
						t.Errorf("%v: status %d, stdout %q, stderr\n got %q\nwant %q", args, status, stdout, stderr, opening)
					}
				}
			}
			if left, err := os.ReadDir(there); err != nil || len(left) != 0 {
				t.Errorf("written: %v, %v", left, err)
			}
		})
	}
}
