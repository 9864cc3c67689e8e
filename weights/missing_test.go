package weights

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The error for a folder without a checkpoint names the content that is there instead, and a remedy.
func TestInPlaceOfCheckpoints(t *testing.T) {
	ok := tinyFiles()
	noHead := func(config string, more ...string) map[string][]byte {
		files := with(with(ok, configFile, config), weightsFile, string(writeSafetensors(bertTensors(tiny, F32)[:len(bertTensors(tiny, F32))-2])))
		for i := 0; i < len(more); i += 2 {
			files = with(files, more[i], more[i+1])
		}
		return files
	}
	page := "\n<!DOCTYPE html>\n<html><body>Sign in</body></html>"
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 45439210\n"
	const (
		head    = ", whose head scores a pair (...ForSequenceClassification); nearest is " + likeMiniLM
		cut     = ": a download or a copy was cut off"
		lfs     = ": a Git LFS pointer, want the file itself (git lfs pull)"
		html    = ": a web page (HTML), want the file itself: a download got a login or an error page"
		adapter = "adapter_config.json: an adapter (PEFT) is not supported, want the whole model: merge it into its base model"
		index   = "model.safetensors.index.json"
	)
	for _, c := range []struct {
		name  string
		files map[string][]byte
		want  string // its end
		kind  error
	}{
		{"config.json is a page", with(ok, configFile, page), "config.json" + html, ErrInvalid},
		{"weights are a page", with(ok, weightsFile, page), "model.safetensors" + html, ErrInvalid},
		{"pickle is a page", with(with(ok, weightsFile, "-"), pickleFile, page), "pytorch_model.bin" + html, ErrInvalid},
		{"GGUF is a page", with(with(ok, weightsFile, "-"), "m.gguf", page), "m.gguf" + html, ErrInvalid},
		{"an index is a page", with(with(ok, weightsFile, "-"), index, page), index + html, ErrInvalid},
		{"config.json in LFS", with(ok, configFile, pointer), "config.json" + lfs, ErrInvalid},
		{"weights in LFS", with(ok, weightsFile, pointer), "model.safetensors" + lfs, ErrInvalid},
		{"pickle in LFS", with(with(ok, weightsFile, "-"), pickleFile, pointer), "pytorch_model.bin" + lfs, ErrInvalid},
		{"an index in LFS", with(with(ok, weightsFile, "-"), index, pointer), index + lfs, ErrInvalid},
		{"weights are a message", with(ok, weightsFile, "Entry not found\n"),
			`model.safetensors: text, "Entry not found\n", want the file itself: a download got an error message`, ErrInvalid},
		{"pickle alone", with(with(ok, weightsFile, "-"), "model.pt", "x"),
			`no model.safetensors, only "model.pt": want what save_pretrained of transformers writes`, ErrUnsupported},
		{"modules.json in LFS", with(ok, modulesFile, pointer), "modules.json" + lfs, ErrInvalid},
		{"modules.json cut off", with(ok, modulesFile, `[{"type":`), "modules.json: want an array of modules, each with type and path", ErrInvalid},
		{"config.json cut off", with(ok, configFile, `{"model_type": "be`), "config.json: the JSON ends in the middle" + cut, ErrInvalid},
		{"an adapter", with(with(with(ok, configFile, "-"), weightsFile, "-"), adapterFile, `{"base_model_name_or_path":"a/b"}`),
			adapter + `, "a/b", by merge_and_unload() in peft, and save that`, ErrUnsupported},
		{"an adapter beside the model", with(ok, adapterFile, `{}`), adapter + ", by merge_and_unload() in peft, and save that", ErrUnsupported},
		{"nothing", map[string][]byte{}, "an empty folder, want config.json, model.safetensors and tokenizer.json: file does not exist", fs.ErrNotExist},
		{"ONNX alone", map[string][]byte{"model.onnx": {8}},
			"no config.json, only ONNX, which is not read; use the safetensors checkpoint that it was made from", ErrUnsupported},
		{"an embedding model", noHead(configJSON(tiny)), "no classifier.weight: this looks like an embedding model, not a cross-encoder" + head, ErrNotCrossEncoder},
		{"a masked language model", noHead(edited("architectures", `["BertForMaskedLM"]`)),
			"no classifier.weight: this is a BertForMaskedLM, which needs training to become a cross-encoder" + head, ErrNotCrossEncoder},
		{"a sparse encoder", noHead(edited("architectures", `["BertForMaskedLM"]`), sentenceFile, `{"model_type":"SparseEncoder"}`),
			"no classifier.weight: this is a sparse encoder (SPLADE), not a cross-encoder" + head, ErrNotCrossEncoder},
		{"ColBERT", noHead(edited("architectures", `["HF_ColBERT"]`)),
			"no classifier.weight: this is a model of late interaction (ColBERT), not a cross-encoder" + head, ErrNotCrossEncoder},
	} {
		t.Run(c.name, func(t *testing.T) {
			made, err := Open(writeFolder(t, c.files))
			if err == nil {
				_, err = made.Plan()
				if err := made.Close(); err != nil {
					t.Error(err)
				}
			}
			if err == nil || !strings.HasSuffix(err.Error(), c.want) {
				t.Fatalf("error\n got %v\nwant ...%s", err, c.want)
			}
			wantError(t, err, err.Error(), c.kind)
		})
	}
}

// A dangling link is an error, even for a file that need not be there: the file was not copied.
func TestDanglingLinks(t *testing.T) {
	for _, name := range []string{configFile, weightsFile, modulesFile, "tokenizer_config.json"} {
		dir := writeFolder(t, tinyFiles())
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err := os.Symlink("../blobs/0123", path); err != nil {
			t.Fatal(err)
		}
		c, err := Open(dir)
		if err == nil {
			_, err = c.File(name)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		wantError(t, err, "weights: "+path+`: a link to "../blobs/0123", which is not there`, ErrInvalid)
	}
}

// A folder of folders names those that hold a model.
func TestFolderOfFolders(t *testing.T) {
	for _, below := range []string{"model", "0_Transformer", "snapshots/0123abcd", "models--a--b/snapshots/0123abcd"} {
		dir := t.TempDir()
		at := filepath.Join(dir, filepath.FromSlash(below))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(at, os.DirFS(writeFolder(t, tinyFiles()))); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir)
		wantError(t, err, "weights: "+dir+": no config.json here, want a folder that has one: "+quote(at)+": file does not exist", fs.ErrNotExist)
	}
}

// Where config.json has no labels, weights of one label give one.
func TestUnstatedLabels(t *testing.T) {
	config := edited("architectures", `["BertModel"]`)
	config, _, _ = strings.Cut(config, `,"id2label"`)
	config += "}"
	for labels := 1; labels <= 2; labels++ {
		model := tiny
		model.Labels = numberedLabels(labels)
		c, _, err := useAll(map[string][]byte{configFile: []byte(config), weightsFile: writeSafetensors(bertTensors(model, F32))})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(c.Config().Labels); got != labels {
			t.Errorf("%d labels, want %d", got, labels)
		}
	}
}
