package weights

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestOpenFolder(t *testing.T) {
	files := with(tinyFiles(), "tokenizer.json", `{"model":1}`)
	dir := writeFolder(t, files)
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if c.Name() != "tiny" || c.Config().HiddenSize != 8 {
		t.Errorf("name %q, config %+v", c.Name(), c.Config())
	}
	c.Config().Labels[0] = "changed"
	if c.Config().Labels[0] != "LABEL_0" {
		t.Error("Config shares its labels")
	}
	if got, err := c.File("tokenizer.json"); err != nil || string(got) != `{"model":1}` {
		t.Errorf("File: %s, %v", got, err)
	}
	if _, err := c.Plan(); err != nil {
		t.Error(err)
	}
	if got, want := names(c.Tensors()), 42; len(got) != want {
		t.Errorf("%d tensors, want %d", len(got), want)
	}
	decodeAll(c)
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err = c.File("tokenizer.json")
	wantError(t, err, "weights: checkpoint is closed", ErrClosed)
	_, err = c.Plan()
	wantError(t, err, "weights: checkpoint is closed", ErrClosed)
	_, err = c.Card()
	wantError(t, err, "weights: checkpoint is closed", ErrClosed)
	if _, ok := c.Tensor("classifier.bias"); ok || len(c.Tensors()) != 0 {
		t.Error("tensors after Close")
	}
}

// TestOpenLinks has the layout of huggingface_hub's cache: a snapshot is a folder of links into ../../blobs.
func TestOpenLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege on Windows")
	}
	root := t.TempDir()
	snapshot := filepath.Join(root, "snapshots", "0123abcd")
	for _, dir := range []string{snapshot, filepath.Join(root, "blobs")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range shardedFiles() {
		if err := os.WriteFile(filepath.Join(root, "blobs", "sha-"+name), data, 0o444); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..", "..", "blobs", "sha-"+name), filepath.Join(snapshot, name)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Open(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Plan(); err != nil || c.Name() != "0123abcd" {
		t.Error(c.Name(), err)
	}
}

// TestNames: a folder of huggingface_hub's cache is called as on the hub, any other by its own name.
func TestNames(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	for path, want := range map[string][2]string{
		"/h/hub/models--acme--reranker/snapshots/" + commit:   {"acme/reranker", commit},
		"/h/hub/models--bert-base/snapshots/" + commit:        {"bert-base", commit},
		"/h/hub/models--acme--re-rank.er/snapshots/" + commit: {"acme/re-rank.er", commit},
		"/h/hub/models--acme--reranker/snapshots/main":        {"main", ""},
		"/h/models/snapshots/" + commit:                       {commit, ""},
		"/h/models--a--b/" + commit:                           {commit, ""},
	} {
		if name, revision := nameOf(path); name != want[0] || revision != want[1] {
			t.Errorf("%s: %q, %q, want %q", path, name, revision, want)
		}
	}
}

// TestOpenErrors: folders that a user may name.
func TestOpenErrors(t *testing.T) {
	ok := tinyFiles()
	none := with(ok, weightsFile, "-")
	convert := "; convert it with transformers: AutoModelForSequenceClassification.from_pretrained(...).save_pretrained(...)"
	for _, c := range []struct {
		files map[string][]byte
		want  string
		kind  error
	}{
		{with(ok, configFile, "-"), "DIR: no config.json: file does not exist", os.ErrNotExist},
		{with(ok, configFile, "{"), "config.json: the JSON ends in the middle: a download or a copy was cut off", ErrInvalid},
		{with(ok, configFile, ""), "config.json: empty, want the file itself: a download or a copy was cut off", ErrInvalid},
		{with(ok, weightsFile, ""), "model.safetensors: empty, want the file itself: a download or a copy was cut off", ErrInvalid},
		{none, "DIR: no model.safetensors: file does not exist", os.ErrNotExist},
		{with(none, "pytorch_model.bin", ""), `pytorch_model.bin: empty, want the file itself: a download or a copy was cut off`, ErrInvalid},
		{with(none, "pytorch_model-00001-of-00002.bin", ""), `DIR: no model.safetensors, only "pytorch_model-00001-of-00002.bin": a shard, but no pytorch_model.bin.index.json`, ErrUnsupported},
		{with(none, "model-00001-of-00002.safetensors", ""), `DIR: no model.safetensors, only "model-00001-of-00002.safetensors": a shard, but no model.safetensors.index.json`, ErrUnsupported},
		{with(none, "adapter_model.safetensors", ""), `DIR: no model.safetensors, only "adapter_model.safetensors": an adapter (PEFT), want the whole model: merge it into its base model`, ErrUnsupported},
		{with(none, "weights.safetensors", ""), `DIR: no model.safetensors, only "weights.safetensors": want it to be called model.safetensors`, ErrUnsupported},
		{with(none, "tf_model.h5", ""), `DIR: no model.safetensors, only "tf_model.h5": TensorFlow weights` + convert + " with from_tf=True in transformers 4", ErrUnsupported},
		{with(none, "flax_model.msgpack", ""), `DIR: no model.safetensors, only "flax_model.msgpack": Flax weights` + convert + " with from_flax=True in transformers 4", ErrUnsupported},
		{with(none, "m-Q8_0.gguf", ""), `m-Q8_0.gguf: empty, want the file itself: a download or a copy was cut off`, ErrInvalid},
		{with(with(none, "m-Q8_0.gguf", ""), "m-F16.gguf", ""), `DIR: 2 GGUF files, from "m-F16.gguf" to "m-Q8_0.gguf": name one of them`, ErrInvalid},
		{with(with(ok, configFile, "-"), "m-Q8_0.gguf", ""), "DIR: no config.json: file does not exist", os.ErrNotExist}, // not used
		{with(with(none, configFile, "-"), "m.gguf", "GGUF"), `DIR: no config.json beside "m.gguf", want config.json and tokenizer.json of the checkpoint that it was made from: file does not exist`, os.ErrNotExist},
		{with(none, "model.onnx", ""), `DIR: no model.safetensors, only "model.onnx": ONNX is not read; use the safetensors checkpoint that it was made from`, ErrUnsupported},
		{with(none, indexFile, `{"weight_map":{"a":"b.safetensors"}}`), "DIR: no b.safetensors: file does not exist", os.ErrNotExist},
		{with(ok, "config_sentence_transformers.json", `[]`), `config_sentence_transformers.json: begins with "[]", want a JSON object`, ErrInvalid},
		{with(ok, "config_sentence_transformers.json", `{"activation_fn":1}`), "config_sentence_transformers.json: activation_fn: 1, want a string", ErrInvalid},
	} {
		dir := writeFolder(t, c.files)
		_, err := Open(dir)
		wantError(t, err, "weights: "+strings.ReplaceAll(c.want, "DIR", dir), c.kind)
		_, err = FromMemory("mem", c.files)
		wantError(t, err, "weights: "+strings.ReplaceAll(c.want, "DIR", "mem"), c.kind)
	}
}

func TestOpenPaths(t *testing.T) {
	dir := writeFolder(t, tinyFiles())
	file := filepath.Join(dir, weightsFile)
	_, err := Open(file)
	wantError(t, err, "weights: "+file+": a file, want the folder that holds config.json and model.safetensors: "+dir, ErrInvalid)
	_, err = Open(filepath.Join(dir, "gone"))
	wantError(t, err, `weights: no folder "`+filepath.Join(dir, "gone")+`": file does not exist`, os.ErrNotExist)
	_, err = Open("")
	wantError(t, err, `weights: no folder "": file does not exist`, os.ErrNotExist)

	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir)
	wantError(t, err, "weights: "+file+": not a regular file", ErrInvalid)

	t.Chdir(writeFolder(t, tinyFiles()))
	c, err := Open(".")
	if err != nil || c.Name() != "tiny" {
		t.Fatal(c, err)
	}
	defer c.Close()
	for _, name := range []string{"", ".", "..", "../tiny/config.json", "/etc/passwd", "a\\b", "C:x", "a\x00"} {
		if _, err := c.File(name); !errors.Is(err, ErrInvalid) {
			t.Errorf("File(%q): %v", name, err)
		}
	}
	_, err = c.File("tokenizer.json")
	wantError(t, err, "weights: .: no tokenizer.json: file does not exist", os.ErrNotExist)
}

// TestScoreActivation: the file of sentence-transformers 5.4 and later takes precedence over config.json.
func TestScoreActivation(t *testing.T) {
	const sigmoid, identity = "torch.nn.modules.activation.Sigmoid", "torch.nn.modules.linear.Identity"
	config := edited("sbert_ce_default_activation_function", `"`+identity+`"`)
	for file, want := range map[string]string{
		"-": identity, `{}`: identity, `{"activation_fn":null}`: identity, `{"activation_fn":"my.Function"}`: identity,
		`{"activation_fn":"` + sigmoid + `"}`: sigmoid,
	} {
		c, err := FromMemory("x", with(with(tinyFiles(), configFile, config), "config_sentence_transformers.json", file))
		if err != nil || c.Config().ScoreActivation != want {
			t.Errorf("%s: %q, %v, want %q", file, c.Config().ScoreActivation, err, want)
		}
	}
}

// TestNothingCopied: opening does not cost memory by the size of the weights, from a folder or from memory.
func TestNothingCopied(t *testing.T) {
	const size = 64 << 20
	big := Tensor{Name: "unused", DType: U8, Shape: []int{size}, data: make([]byte, size)}
	files := build(configJSON(tiny), extra(big))
	dir := writeFolder(t, files)
	for name, open := range map[string]func() (*Checkpoint, error){
		"folder": func() (*Checkpoint, error) { return Open(dir) },
		"memory": func() (*Checkpoint, error) { return FromMemory("x", files) },
	} {
		cost := allocated(func() {
			c, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Plan(); err != nil {
				t.Fatal(err)
			}
			if x, _ := c.Tensor("unused"); x.SizeBytes() != size {
				t.Errorf("%d bytes, want %d", x.SizeBytes(), size)
			}
		})
		if cost > 1<<20 {
			t.Errorf("%s: %d bytes allocated", name, cost)
		}
	}
}

// TestHammer uses and closes a checkpoint from many goroutines at once.
func TestHammer(t *testing.T) {
	dir := writeFolder(t, tinyFiles())
	for range 20 {
		c, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for range 20 {
					_, _ = c.Plan()
					_, _ = c.File(configFile)
					_, _ = c.Tensor("classifier.bias")
					_ = c.Tensors()
					_, _ = c.Card()
					if i == 0 {
						_ = c.Close()
					}
				}
			})
		}
		wg.Wait()
	}
}
