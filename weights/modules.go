package weights

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// module is a module of sentence-transformers behind the Transformer, with its settings.
type module struct {
	path       string // its folder, "2_Dense"
	kind       string // moduleDense or moduleNorm
	in, out    int    // widths
	bias       bool   // of a Dense
	activation Activation
	output     string // of a Dense: sentenceEmbedding, or scores
}

const (
	modulePooling = "Pooling"
	moduleDense   = "Dense"
	moduleNorm    = "LayerNorm"
	moduleDropout = "Dropout" // does nothing here

	sentenceEmbedding = "sentence_embedding" // the row that modules pass on
	headScores        = "scores"             // the row of the last one

	// moduleNormEps is torch.nn.LayerNorm's default, with which the module is made.
	moduleNormEps = 1e-5
	maxHeadWidth  = 1 << 16
)

// modularHead is a head in modules of its own: pooling, then layers, of which the last gives the scores.
type modularHead struct {
	pool    Pool
	layers  []module
	configs []string // paths of the modules' settings
}

// readModules reports whether modules.json lists the modules of a cross-encoder: a Transformer alone, or with a head behind
// it, which it reads. Where crossEncoder is false, other lists are left over from an embedding model, and are ignored.
func (c *Checkpoint) readModules(crossEncoder bool) (bool, error) {
	data, err := c.src.read(modulesFile, maxConfigBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	var modules []struct {
		Type string `json:"type"`
		Path string `json:"path"`
	}
	if err := json.Unmarshal(data, &modules); err != nil || len(modules) == 0 || len(modules) > maxModules {
		return false, invalidf("%s: want an array of modules, each with type and path", modulesFile)
	}
	names := make([]string, len(modules))
	for i, m := range modules {
		names[i] = m.Type[strings.LastIndexByte(m.Type, '.')+1:]
	}
	c.modules = names
	first := modules[0]
	own := names[0] != "Transformer" || !strings.HasPrefix(first.Type, "sentence_transformers.")
	switch {
	case !crossEncoder && (len(modules) > 1 || own):
		return false, c.refuseOrphanHead(modules[len(modules)-1].Path)
	case own:
		return false, unsupportedf("%s: type %s is code of its own and not supported, want sentence_transformers' Transformer",
			modulesFile, quote(first.Type))
	case first.Path != "":
		return false, unsupportedf("%s: path %s, want \"\": the model in the folder itself", modulesFile, quote(first.Path))
	case len(modules) == 1:
		return true, nil
	case len(modules) == 2 && names[1] == moduleLogits && strings.HasPrefix(modules[1].Type, "sentence_transformers.") &&
		isPlainName(modules[1].Path) && familyOf(c.config.ModelType, "").decoder:
		return true, c.readLogitScore(modules[1].Path)
	}
	known := []string{modulePooling, moduleDense, moduleNorm, moduleDropout}
	for i, m := range modules[1:] {
		name := names[i+1]
		if !slices.Contains(known, name) || !strings.HasPrefix(m.Type, "sentence_transformers.") || (name == modulePooling) != (i == 0) {
			return false, unsupportedf("%s: a CrossEncoder of the modules %s is not supported, want a Transformer alone, as of a "+
				"...ForSequenceClassification, or with Pooling, then Dense, LayerNorm and Dropout", modulesFile, shorten(strings.Join(names, ", ")))
		}
		if !isPlainName(m.Path) {
			return false, invalidf("%s: path %s, want the name of a folder", modulesFile, quote(m.Path))
		}
	}
	c.head = &modularHead{}
	for i, m := range modules[1:] {
		if err := c.readModule(m.Path, names[i+1]); err != nil {
			return false, err
		}
	}
	return true, c.checkHead()
}

// refuseOrphanHead returns an error if the last module gives scores, as only that of a cross-encoder does, although no file
// says that the folder is one.
func (c *Checkpoint) refuseOrphanHead(last string) error {
	if !isPlainName(last) {
		return nil
	}
	// An embedding model's modules are ignored, even where they can't be read.
	data, unread := c.src.readPath(path.Join(last, configFile), maxConfigBytes)
	f, broken := parseFields(last, data)
	if unread == nil && broken == nil && f.text("module_output_name", "") == headScores {
		return invalidf("%s has a head that gives scores, but %s has no model_type, want \"CrossEncoder\": sentence-transformers takes "+
			"the folder for an embedding model without it", modulesFile, sentenceFile)
	}
	return nil
}

// readModule reads the settings of a module of the head.
func (c *Checkpoint) readModule(folder, kind string) error {
	name := path.Join(folder, configFile)
	c.head.configs = append(c.head.configs, name)
	data, err := c.src.readPath(name, maxConfigBytes)
	if err != nil {
		return err
	}
	f, err := parseFields(name, data)
	if err != nil {
		return err
	}
	m := module{path: folder, kind: kind}
	switch kind {
	case modulePooling:
		c.head.pool = f.pooling(c.config.HiddenSize)
	case moduleDense:
		m.in, m.out = f.needed("in_features"), f.needed("out_features")
		m.bias = f.trueOr("bias")
		m.activation = f.torchActivation("activation_function")
		f.absent("use_residual")
		f.only("module_input_name", sentenceEmbedding)
		m.output = f.text("module_output_name", sentenceEmbedding)
	case moduleNorm:
		m.in = f.needed("dimension")
		m.out = m.in
	}
	if kind == moduleDense || kind == moduleNorm {
		c.head.layers = append(c.head.layers, m)
	}
	return f.err
}

// checkHead compares the widths of the head's layers, and takes the number of labels from the last one.
func (c *Checkpoint) checkHead() error {
	width, last := c.config.HiddenSize, len(c.head.layers)-1
	for i, m := range c.head.layers {
		if m.in != width {
			return invalidf("%s: %s: %d values in, want %d", modulesFile, quote(m.path), m.in, width)
		}
		width = m.out
		want := sentenceEmbedding
		if i == last {
			want = headScores
		}
		if m.kind == moduleDense && m.output != want {
			return unsupportedf("%s: module_output_name: %s, want %s", path.Join(m.path, configFile), quote(m.output), quote(want))
		}
	}
	if last < 0 || c.head.layers[last].kind != moduleDense {
		return unsupportedf("%s: the last module is no Dense, which gives the scores", modulesFile)
	}
	if width != len(c.config.Labels) {
		c.config.Labels = numberedLabels(width)
	}
	c.config.LabelsUnstated = false
	return nil
}

// loadHead reads the tensors of the head's modules, which get their folder before their names.
func (c *Checkpoint) loadHead() error {
	if c.head == nil {
		return nil
	}
	for _, m := range c.head.layers {
		tensors, err := c.src.loadFile(path.Join(m.path, weightsFile), c.config)
		if errors.Is(err, fs.ErrNotExist) {
			var pickled error
			if tensors, pickled = c.src.loadFile(path.Join(m.path, pickleFile), c.config); !errors.Is(pickled, fs.ErrNotExist) {
				err = pickled
			}
		}
		if err != nil {
			return err
		}
		for _, t := range tensors {
			t.Name = path.Join(m.path, t.Name)
			c.tensors = append(c.tensors, t)
		}
	}
	return nil
}

// HeadFiles lists the files of a head in modules of its own, as paths below the folder that [Checkpoint.File] takes; none
// where the model has its head itself.
func (c *Checkpoint) HeadFiles() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.headFiles()
}

// headFiles is HeadFiles for callers that hold the lock.
func (c *Checkpoint) headFiles() []string {
	if c.head == nil || c.closed {
		return nil
	}
	files := slices.Clone(c.head.configs)
	for _, t := range c.tensors {
		if c.InHead(t) && !slices.Contains(files, t.file) {
			files = append(files, t.file)
		}
	}
	return files
}

// InHead reports whether a tensor is in one of the HeadFiles.
func (c *Checkpoint) InHead(t Tensor) bool {
	return c.head != nil && slices.ContainsFunc(c.head.layers, func(m module) bool { return strings.HasPrefix(t.Name, m.path+"/") })
}

// modules looks up a head in modules of its own.
func (r *resolver) modules(p *Plan, head *modularHead) {
	p.Pool = head.pool
	for _, m := range head.layers {
		switch m.kind {
		case moduleDense:
			l := r.headLinear(m.path+"/linear", m.out, m.in, m.bias)
			p.Head = append(p.Head, Step{Linear: &l, Activation: m.activation})
		case moduleNorm:
			n := r.normBy(r.plain, m.path+"/norm", m.in, true)
			n.Epsilon = moduleNormEps
			if last := len(p.Head) - 1; last >= 0 && p.Head[last].Norm == nil {
				p.Head[last].Norm = n
			} else {
				p.Head = append(p.Head, Step{Norm: n})
			}
		}
	}
}

// pooling reads the settings of a Pooling, in their form of today or in flags of before.
func (f *fields) pooling(hidden int) Pool {
	width := f.present("word_embedding_dimension", "embedding_dimension")
	if n := f.needed(width); n != hidden && f.err == nil {
		f.fail(width, f.values[width], "hidden_size of "+configFile)
	}
	mode, known := "", map[string]Pool{"cls": PoolFirst, "mean": PoolMean}
	for _, old := range []struct{ key, mode string }{
		{"pooling_mode_cls_token", "cls"}, {"pooling_mode_max_tokens", "max"}, {"pooling_mode_mean_tokens", "mean"},
		{"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"}, {"pooling_mode_weightedmean_tokens", "weightedmean"},
		{"pooling_mode_lasttoken", "lasttoken"},
	} {
		if f.flag(old.key) {
			mode += old.mode
		}
	}
	if v, ok := f.get("pooling_mode"); ok && v.Kind() == '[' {
		if mode = f.firstString("pooling_mode"); strings.Contains(string(v), ",") {
			mode = string(v)
		}
	} else {
		mode = f.text("pooling_mode", cmp.Or(mode, "mean"))
	}
	pool, ok := known[mode]
	if !ok && f.err == nil {
		f.err = unsupportedf("%s: pooling_mode: %s, want \"cls\" or \"mean\"", f.file, quote(mode))
	}
	if !f.trueOr("include_prompt") && f.err == nil {
		f.err = unsupportedf("%s: include_prompt: false, want true", f.file)
	}
	return pool
}

// needed reads a width that must be there.
func (f *fields) needed(key string) int {
	if !f.has(key) && f.err == nil {
		f.err = invalidf("%s: no %s, want a whole number", f.file, key)
	}
	return f.whole(key, 1, maxHeadWidth)
}

// trueOr reads a boolean that is true when absent.
func (f *fields) trueOr(key string) bool { return !f.has(key) || f.flag(key) }

// torchActivations are the classes of torch.nn that a Dense may name.
var torchActivations = map[string]Activation{
	"torch.nn.modules.linear.Identity": 0, "torch.nn.modules.activation.Tanh": Tanh, "torch.nn.modules.activation.GELU": GELU,
	"torch.nn.modules.activation.ReLU": ReLU, "torch.nn.modules.activation.SiLU": SiLU,
}

// torchActivation reads the path of a class of torch.nn; Tanh when absent.
func (f *fields) torchActivation(key string) Activation {
	f.notNull(key, "the path of a class of torch.nn")
	name := f.text(key, "torch.nn.modules.activation.Tanh")
	a, ok := torchActivations[name]
	if !ok && f.err == nil {
		f.err = unsupportedf("%s: %s: %s, want one of: %s", f.file, key, quote(name), strings.Join(slices.Sorted(maps.Keys(torchActivations)), ", "))
	}
	return a
}
