package weights

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/weights/gguf"
)

// adapterFile is the config of an adapter. transformers and sentence-transformers load the adapter wherever it is there.
const adapterFile = "adapter_config.json"

const savesWithTransformers = "AutoModelForSequenceClassification.from_pretrained(...).save_pretrained(...)"

// refuseAdapter refuses a folder with an adapter, even beside a whole model: its scores are those with the adapter.
func (c *Checkpoint) refuseAdapter() error {
	f, err := c.optionalFields(adapterFile)
	if err != nil || f.values == nil {
		return err
	}
	base := ""
	if name := f.text("base_model_name_or_path", ""); name != "" {
		base = ", " + quote(name)
	}
	return unsupportedf("%s: %s: an adapter (PEFT) is not supported, want the whole model: merge it into its base model%s, "+
		"by merge_and_unload() in peft, and save that", c.src.place, adapterFile, base)
}

// explainConfig turns the absence of config.json into advice.
func (s *source) explainConfig(absent error) error {
	if s.gguf != "" {
		return s.explainGGUF(absent)
	}
	if below := s.modelsBelow(); len(below) > 0 {
		return causef(fs.ErrNotExist, "%s: no %s here, want a folder that has one: %s", s.place, configFile, foldersText(s.place, below))
	}
	names := s.names()
	switch {
	case len(names) == 0:
		return causef(fs.ErrNotExist, "%s: an empty folder, want %s, %s and tokenizer.json", s.place, configFile, weightsFile)
	case slices.ContainsFunc(names, isONNX):
		return unsupportedf("%s: no %s, only ONNX, which is not read; use the safetensors checkpoint that it was made from", s.place, configFile)
	}
	return absent
}

// explainGGUF returns absent, or an error if the file's model is not supported, so that config.json would not help.
func (s *source) explainGGUF(absent error) error {
	b, err := s.open(s.gguf)
	if err != nil {
		return err
	}
	parsed, parseErr := gguf.Parse(b, b.size)
	if err := b.close(); err != nil {
		return err
	}
	if parseErr != nil {
		return absent
	}
	if v, ok := parsed.Value("general.architecture"); ok {
		name, _ := v.Text()
		known := slices.ContainsFunc(families, func(f family) bool { return f.gguf != nil && f.gguf.architecture == name })
		if name != ggufBERT.architecture && !known {
			return unsupportedf("%s: general.architecture: %s, want \"bert\": a cross-encoder; nearest is %s", s.gguf, v, likeBGE)
		}
	}
	return absent
}

// modelsBelow returns the folders below that have a config.json: those of several models, the Transformer's of an old
// checkpoint of sentence-transformers, or a snapshot in the hub's cache.
func (s *source) modelsBelow() []string {
	if s.files != nil {
		return nil
	}
	var found []string
	for _, pattern := range []string{"*", "snapshots/*", "*/snapshots/*", "*/*"} {
		matches, _ := fs.Glob(os.DirFS(s.dir), pattern+"/"+configFile)
		for _, match := range matches {
			found = append(found, path.Dir(match))
		}
		if len(found) > 0 {
			break
		}
	}
	return found
}

// foldersText lists a few folders.
func foldersText(place string, folders []string) string {
	const most = 3
	var all []string
	for _, f := range folders[:min(len(folders), most)] {
		all = append(all, quote(filepath.Join(place, f)))
	}
	text := strings.Join(all, ", ")
	if len(folders) > most {
		text += ", ..."
	}
	return text
}

func isONNX(name string) bool { return name == "onnx" || strings.HasSuffix(name, ".onnx") }

// explainWeights turns the absence of model.safetensors into advice.
func (s *source) explainWeights(names []string) error {
	const convert = "; convert it with transformers: " + savesWithTransformers
	for _, other := range []struct{ pattern, advice string }{
		{"pytorch_model-*.bin", "a shard, but no " + pickleIndexFile},
		{"model-*-of-*.safetensors", "a shard, but no " + indexFile},
		{"adapter_model.safetensors", "an adapter (PEFT), want the whole model: merge it into its base model"},
		{"adapter_model.bin", "an adapter (PEFT), want the whole model: merge it into its base model"},
		{"*.safetensors", "want it to be called " + weightsFile},
		{"tf_model*.h5", "TensorFlow weights" + convert + " with from_tf=True in transformers 4"},
		{"flax_model*.msgpack", "Flax weights" + convert + " with from_flax=True in transformers 4"},
		{"*.pt", "want what save_pretrained of transformers writes"},
		{"*.pth", "want what save_pretrained of transformers writes"},
		{"*.ckpt*", "want what save_pretrained of transformers writes"},
		{"*.onnx", "ONNX is not read; use the safetensors checkpoint that it was made from"},
		{"onnx", "ONNX is not read; use the safetensors checkpoint that it was made from"},
		{"openvino", "OpenVINO is not read; use the safetensors checkpoint that it was made from"},
	} {
		for _, name := range names {
			if ok, _ := filepath.Match(other.pattern, name); ok {
				return unsupportedf("%s: no %s, only %s: %s", s.place, weightsFile, quote(name), other.advice)
			}
		}
	}
	return s.missing(weightsFile)
}

// lfsPointer begins the small text file that a clone without git-lfs leaves in place of any large one.
var lfsPointer = []byte("version https://git-lfs.github.com/spec/")

// lfsError returns the error for a file that is a Git LFS pointer.
func lfsError(file string) error {
	return invalidf("%s: a Git LFS pointer, want the file itself (git lfs pull)", file)
}

// checkedSuffixes are the suffixes of files that must be neither empty nor HTML.
var checkedSuffixes = []string{".json", ".safetensors", pickleSuffix, ggufSuffix}

// maxStandInBytes is more bytes than an LFS pointer or an error message in place of a file has.
const maxStandInBytes = 4 << 10

// checkInPlace returns an error if a file's first maxStandInBytes are the remains of a failed clone or download, and not
// the file.
func checkInPlace(file string, data []byte) error {
	if bytes.HasPrefix(data, lfsPointer) {
		return lfsError(file)
	}
	if !slices.Contains(checkedSuffixes, path.Ext(file)) {
		return nil
	}
	start := bytes.ToLower(bytes.TrimLeft(data[:min(len(data), 256)], " \t\r\n\ufeff"))
	isHTML := func(tag string) bool { return bytes.HasPrefix(start, []byte(tag)) }
	switch {
	case slices.ContainsFunc([]string{"<!doctype", "<html", "<head", "<?xml"}, isHTML):
		return invalidf("%s: a web page (HTML), want the file itself: a download got a login or an error page", file)
	case len(data) == 0:
		return invalidf("%s: empty, want the file itself: a download or a copy was cut off", file)
	case (path.Ext(file) == ".safetensors" || path.Ext(file) == pickleSuffix) && isText(data):
		return invalidf("%s: text, %s, want the file itself: a download got an error message", file, quote(data))
	}
	return nil
}

// isText tells an error message from weights, which begin with a length or a magic number.
func isText(data []byte) bool {
	return len(data) < maxStandInBytes && !slices.ContainsFunc(data, func(c byte) bool { return c < ' ' && c != '\n' && c != '\r' && c != '\t' || c > '~' })
}
