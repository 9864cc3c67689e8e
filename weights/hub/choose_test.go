package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestPullShards(t *testing.T) {
	files := map[string]string{
		"config.json": "{}", "a.safetensors": "first", "b.safetensors": "second",
		"model.safetensors.index.json": `{"weight_map":{"x":"a.safetensors","y":"b.safetensors","z":"a.safetensors"}}`,
	}
	h := newHub(t, files)
	dir, err := pull(t.Context(), settings(t, h), "org/model", nil)
	if err != nil {
		t.Fatal(err)
	}
	wantSnapshot(t, dir, h, slices.Sorted(maps.Keys(files)))
	for _, bad := range []string{"../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", `a\b.safetensors`, "c:x.bin", "x.py", ""} {
		if _, err := parseShards(fmt.Appendf(nil, `{"weight_map":{"x":%q}}`, bad)); err == nil {
			t.Errorf("shard %q is taken", bad)
		}
	}
}

// FuzzAnswers: any answer of the hub is an error, or names that stay in their folder.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"sha":"` + commit + `","siblings":[{"rfilename":"config.json"}]}`))
	f.Add([]byte(`{"weight_map":{"x":"a.safetensors","y":"../b.safetensors"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if sha, _, err := parseInfo(data); err == nil && !commitPattern.MatchString(sha) {
			t.Errorf("commit %q", sha)
		}
		shards, err := parseShards(data)
		for _, s := range shards {
			if err == nil && (filepath.Base(s) != s || !fs.ValidPath(s)) {
				t.Errorf("shard %q", s)
			}
		}
	})
}

// The error names the files that can't be fetched, with the files that are wanted.
func TestChooseWeights(t *testing.T) {
	for _, c := range []struct {
		files []string
		want  string
	}{
		{[]string{"README.md"}, "a/b@ has no config.json"},
		{[]string{"adapter_config.json", "adapter_model.safetensors"}, "a/b@ is an adapter (PEFT), want a whole model"},
		{[]string{"adapter_config.json", "config.json", "model.safetensors"}, "a/b@ is an adapter (PEFT), want a whole model"},
		{[]string{"config.json"}, "pytorch_model.bin.index.json"},
		{[]string{"config.json", "onnx/model.onnx", "tf_model.h5"}, `what it has, "onnx/model.onnx", "tf_model.h5", is not fetched`},
	} {
		_, err := chooseWeights(Name{Owner: "a", Model: "b"}, c.files)
		if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want a part %q", c.files, err, c.want)
		}
	}
}

// Every file that changes scores is fetched; the page lists them by its headings, and the names of the Transformer's file.
func TestFilesThatCountAreFetched(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "checkpoint-fields.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("(?m)^## `(.+)`$|`(sentence_[^`]+_config.json)`").FindAllSubmatch(page, -1)
	if len(names) < 15 {
		t.Errorf("%d files, want at least 15", len(names))
	}
	for _, name := range names {
		if file := string(name[1]) + string(name[2]); !slices.Contains(besideWeights, file) {
			t.Errorf("%s is not fetched", file)
		}
	}
}
