package engine

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/metalrank/metalrank/weights"
)

// A tokenizer.json is not trusted: any post_processor is either refused, or pairs can be put together by it.
func FuzzPairTemplate(f *testing.F) {
	f.Add([]byte(bertTemplate))
	f.Add([]byte(`{"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]}`))
	f.Add([]byte(`{"type": "ByteLevel"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		template, single, err := parseTemplates(jsontext.Value(data))
		if err != nil || template == nil {
			return
		}
		q, d := []int32{7, 8}, []int32{9}
		got := template.assemble(q, d)
		if want := template.specials + len(q) + len(d); len(got.ids) != want || len(got.types) != want {
			t.Fatalf("%d ids and %d types, want %d", len(got.ids), len(got.types), want)
		}
		if single != nil {
			if alone := single.assemble(nil, d); len(alone.ids) != single.specials+len(d) || len(alone.types) != len(alone.ids) {
				t.Fatalf("alone: %d ids and %d types, want %d", len(alone.ids), len(alone.types), single.specials+len(d))
			}
		}
		for i, id := range got.ids {
			if id < 0 || got.types[i] < 0 {
				t.Fatalf("token %d is %d of type %d", i, id, got.types[i])
			}
		}
	})
}

// The small files beside a tokenizer are not trusted, either: they are refused, or texts can be encoded.
func FuzzTokenizerFiles(f *testing.F) {
	families := []string{"roberta", "xlm_roberta", "camembert", "electra", "distilbert", "deberta_v2"}
	all := make([]map[string][]byte, len(families))
	for i, family := range families {
		all[i] = map[string][]byte{}
		dir := filepath.Join("testdata", "families", family)
		entries, err := os.ReadDir(dir)
		if err != nil {
			f.Fatal(err)
		}
		for _, e := range entries {
			if all[i][e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(i, `{}`, `{}`, `{}`, `{}`)
		f.Add(i, `{"cls_token":"","added_tokens_decoder":{"3":{"content":"a","lstrip":true}}}`, `{"sep_token":{"content":"b"}}`, `{"x":7}`,
			`{"added_tokens":[{"id":1,"content":"c","special":true}]}`)
		f.Add(i, `{"tokenizer_class":"PreTrainedTokenizerFast","extra_special_tokens":{"a":"b"},"truncation_side":"left"}`, `{}`, `{}`,
			`{"normalizer":{"type":"Lowercase"},"truncation":{"direction":"Left"}}`)
		f.Add(i, `{"model_max_length":1e30,"add_prefix_space":false,"model_input_names":["a"]}`, `{"additional_special_tokens":["a"]}`, `{}`,
			`{"model":{"unk_id":9}}`)
	}
	f.Fuzz(func(t *testing.T, family int, config, special, added, patch string) {
		files := maps.Clone(all[uint(family)%uint(len(all))])
		files[tokenizerConfigFile], files[specialTokensFile], files[addedTokensFile] = []byte(config), []byte(special), []byte(added)
		var old, changes any
		if json.Unmarshal([]byte(patch), &changes) == nil && json.Unmarshal(files[tokenizerJSON], &old) == nil {
			patched, err := json.Marshal(mergePatch(old, changes))
			if err != nil {
				t.Fatal(err)
			}
			files[tokenizerJSON] = patched
		}
		checkpoint, err := weights.FromMemory("fuzz", files)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := checkpoint.Close(); err != nil {
				t.Error(err)
			}
		}()
		tokenizer, err := openTokenizer(checkpoint, false)
		if err != nil {
			return
		}
		if ids := tokenizer.encoder.encode("a b c", 0).ids; tokenizer.maxLength < minMaxLength || len(ids) > 1<<10 {
			t.Errorf("%d ids, at most %d tokens", len(ids), tokenizer.maxLength)
		}
		if err := tokenizer.close(); err != nil {
			t.Error(err)
		}
	})
}
