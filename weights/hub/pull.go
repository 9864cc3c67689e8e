package hub

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/internal/parallel"
)

// Files of a checkpoint by name. The first of weightFiles that is there is used; the indexes name shards.
var (
	besideWeights = []string{
		"config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt",
		"added_tokens.json", "config_sentence_transformers.json", "modules.json", "sentence_bert_config.json",
		"sentence_roberta_config.json", "sentence_distilbert_config.json", "sentence_camembert_config.json",
		"sentence_albert_config.json", "sentence_xlm-roberta_config.json", "sentence_xlnet_config.json", "chat_template.jinja",
		"adapter_config.json", "README.md",
	}
	weightFiles = []string{
		"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
	}
)

const (
	indexSuffix   = ".index.json"
	modulesFile   = "modules.json"
	maxModules    = 64
	maxIndexBytes = 64 << 20
	maxShards     = 1024
	connections   = 4
)

// Pull fetches a checkpoint and returns its folder in the cache. Files that are there already are not fetched again, and
// downloads that were cut off are resumed. progress, if not nil, may be called from several goroutines. Offline, Pull is
// Find. It is Find, too, if the hub doesn't answer or refuses and the cache has the checkpoint; then it calls warn, if
// not nil, with the reason.
func (s Settings) Pull(ctx context.Context, n Name, progress func(done, total int64), warn func(reason error)) (string, error) {
	if s.Offline {
		return s.Find(n)
	}
	c, err := newClient(s)
	if err != nil {
		return "", err
	}
	c.warn = warn
	return c.pull(ctx, n, progress)
}

func (c *client) pull(ctx context.Context, n Name, progress func(done, total int64)) (string, error) {
	cached, cacheErr := c.Find(n)
	if cacheErr == nil {
		c.maxAttempts = 1 // the cache has the checkpoint: one attempt is enough
	}
	commit, all, err := c.list(ctx, n)
	c.maxAttempts = attempts
	switch {
	case err != nil && cacheErr == nil && ctx.Err() == nil && !errors.Is(err, errNoRevision):
		if c.warn != nil {
			c.warn(err)
		}
		return cached, nil
	case err != nil:
		return "", err
	}
	weights, err := chooseWeights(n, all)
	if err != nil {
		return "", err
	}
	wanted := slices.DeleteFunc(slices.Clone(besideWeights), func(f string) bool { return !slices.Contains(all, f) })
	wanted = append(wanted, weights)
	if progress == nil {
		progress = func(int64, int64) {}
	}
	if err := c.files(ctx, n, commit, wanted, progress); err != nil {
		return "", err
	}
	if slices.Contains(wanted, modulesFile) {
		head, err := headFiles(filepath.Join(c.snapshot(n, commit), modulesFile), all)
		if err != nil {
			return "", err
		}
		if err := c.files(ctx, n, commit, head, progress); err != nil {
			return "", err
		}
	}
	if strings.HasSuffix(weights, indexSuffix) {
		shards, err := shardsOf(filepath.Join(c.snapshot(n, commit), weights))
		if err != nil {
			return "", err
		}
		if err := c.files(ctx, n, commit, shards, progress); err != nil {
			return "", err
		}
	}
	return c.snapshot(n, commit), c.setRef(n, commit)
}

// chooseWeights picks the weights that are fetched.
func chooseWeights(n Name, all []string) (string, error) {
	if slices.Contains(all, "adapter_config.json") {
		return "", fmt.Errorf("%w: %s is an adapter (PEFT), want a whole model: that in which it is merged into its base model", ErrNotFound, n)
	}
	if !slices.Contains(all, "config.json") {
		return "", fmt.Errorf("%w: %s has no config.json: want the repository of a model for transformers", ErrNotFound, n)
	}
	for _, name := range weightFiles {
		if slices.Contains(all, name) {
			return name, nil
		}
	}
	var others []string
	for _, name := range all {
		if slices.Contains([]string{".onnx", ".gguf", ".h5", ".msgpack", ".bin", ".safetensors", ".pt"}, path.Ext(name)) && len(others) < 3 {
			others = append(others, fmt.Sprintf("%.80q", name))
		}
	}
	err := fmt.Errorf("%w: %s has none of %s", ErrNotFound, n, strings.Join(weightFiles, ", "))
	if len(others) > 0 {
		err = fmt.Errorf("%w; what it has, %s, is not fetched: want the checkpoint that it was made from", err, strings.Join(others, ", "))
	}
	return "", err
}

// headFiles returns the files of modules that sentence-transformers' modules.json names, of all files that there are: the
// settings of each, and its weights in the first form that is there.
func headFiles(modules string, all []string) ([]string, error) {
	data, err := readSmall(modules)
	if err != nil {
		return nil, err
	}
	var list []struct {
		Path string `json:"path"`
	}
	if err := json.Unmarshal(data, &list); err != nil || len(list) > maxModules {
		return nil, fmt.Errorf("hub: %s: want an array of at most %d modules", modulesFile, maxModules)
	}
	var files []string
	for _, m := range list {
		if m.Path == "" {
			continue // the model itself
		}
		if !isPlainName(m.Path) {
			return nil, fmt.Errorf("hub: %s: path %.200q, want the name of a folder", modulesFile, m.Path)
		}
		if name := path.Join(m.Path, "config.json"); slices.Contains(all, name) {
			files = append(files, name)
		}
		for _, weights := range []string{"model.safetensors", "pytorch_model.bin"} {
			if name := path.Join(m.Path, weights); slices.Contains(all, name) {
				files = append(files, name)
				break
			}
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// isPlainName says whether a name stays in its folder on every system.
func isPlainName(name string) bool {
	return !strings.ContainsAny(name, "/\\:\x00") && filepath.IsLocal(name) && len(name) <= 255
}

// shardsOf reads the names of the shards from an index. They become paths, so they are plain names.
func shardsOf(index string) ([]string, error) {
	data, err := readSmall(index)
	if err != nil {
		return nil, err
	}
	shards, err := parseShards(data)
	if err != nil {
		return nil, fmt.Errorf("hub: %s: %w", filepath.Base(index), err)
	}
	return shards, nil
}

// readSmall reads an index, which has a bounded size.
func readSmall(index string) ([]byte, error) {
	there, err := os.Stat(index)
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	if there.Size() > maxIndexBytes {
		return nil, fmt.Errorf("hub: %s: %d bytes, want at most %d", filepath.Base(index), there.Size(), maxIndexBytes)
	}
	data, err := os.ReadFile(index)
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	return data, nil
}

func parseShards(data []byte) ([]string, error) {
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, err
	}
	var shards []string
	for _, name := range index.WeightMap {
		if !strings.HasSuffix(name, ".safetensors") && !strings.HasSuffix(name, ".bin") ||
			!isPlainName(name) {
			return nil, fmt.Errorf("shard %.200q, want the name of a .safetensors or .bin file", name)
		}
		shards = append(shards, name)
	}
	slices.Sort(shards)
	if shards = slices.Compact(shards); len(shards) > maxShards {
		return nil, fmt.Errorf("%d shards, want at most %d", len(shards), maxShards)
	}
	return shards, nil
}

// files fetches several files, and links them into the snapshot.
func (c *client) files(ctx context.Context, n Name, commit string, names []string, progress func(done, total int64)) error {
	remote := make([]remoteFile, len(names))
	if err := parallel.For(ctx, len(names), connections, func(i int) (err error) {
		remote[i], err = c.stat(ctx, n, commit, names[i])
		return err
	}); err != nil {
		return err
	}
	var total int64
	for _, f := range remote {
		total += f.size
	}
	var done atomic.Int64
	return parallel.For(ctx, len(remote), connections, func(i int) error {
		if c.hasRegularFile(n, commit, remote[i]) {
			progress(done.Add(remote[i].size), total)
			return nil
		}
		err := c.fetch(ctx, n, remote[i], func(bytes int64) { progress(done.Add(bytes), total) })
		if err != nil {
			return errors.Join(err, ctx.Err())
		}
		return c.link(n, commit, remote[i])
	})
}
