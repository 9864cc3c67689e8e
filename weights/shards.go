package weights

import (
	"bytes"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	weightsFile = "model.safetensors"
	indexFile   = "model.safetensors.index.json"

	// maxShards bounds the files that one index can ask for; the largest public checkpoints have about 200.
	maxShards     = 1024
	maxIndexBytes = maxHeaderBytes
)

// parseIndex reads the index of a sharded checkpoint, {"metadata": {...}, "weight_map": {tensor: shard file}}, and
// returns the map; suffix is the end of the shards' names. The metadata (total_size) are skipped: only the content of
// the shards counts.
func parseIndex(file, suffix string, data []byte) (map[string]string, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(data))
	var shardOf map[string]string
	err := readObject(dec, func(key string) error {
		if key != "weight_map" {
			return dec.SkipValue()
		}
		shardOf = map[string]string{}
		return readObject(dec, func(name string) error {
			token, err := dec.ReadToken()
			if err != nil {
				return err
			}
			shard := token.String()
			if token.Kind() != '"' || !strings.HasSuffix(shard, suffix) || !isPlainName(shard) {
				return inTensor(name, textError("shard "+quote(shard)+", want the name of a "+suffix+" file in the same folder"))
			}
			shardOf[name] = shard
			return nil
		})
	})
	if err == nil {
		err = readEnd(dec)
	}
	switch {
	case err != nil:
		return nil, headerError(file, err)
	case len(shardOf) == 0:
		return nil, invalidf("%s: no weight_map", file)
	}
	return shardOf, nil
}

// isPlainName says whether a name stays in its folder on every system, so that an index cannot reach out of it: no
// separator of any system, no drive letter or stream, no ".."; 255 bytes is the limit of most file systems.
func isPlainName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= 255 &&
		!strings.ContainsAny(name, "/\\:\x00") && filepath.IsLocal(name)
}

// loadShards opens every shard that the index names and checks that both agree. Tensors that the index does not
// list are taken as well, as transformers does; one that is in two shards is refused.
func (s *source) loadShards(indexFile, suffix string, config Config) ([]Tensor, error) {
	data, err := s.read(indexFile, maxIndexBytes)
	if err != nil {
		return nil, err
	}
	shardOf, err := parseIndex(indexFile, suffix, data)
	if err != nil {
		return nil, err
	}
	shards := slices.Compact(slices.Sorted(maps.Values(shardOf)))
	if len(shards) > maxShards {
		return nil, invalidf("%s: %d shards, want at most %d", indexFile, len(shards), maxShards)
	}
	var tensors []Tensor
	foundIn := map[string]string{}
	for _, shard := range shards {
		part, err := s.loadFile(shard, config)
		if err != nil {
			return nil, err
		}
		for _, t := range part {
			if first, twice := foundIn[t.Name]; twice {
				return nil, invalidf("tensor %s: in both %s and %s", quote(t.Name), first, shard)
			}
			foundIn[t.Name] = shard
		}
		tensors = append(tensors, part...)
	}
	for _, name := range slices.Sorted(maps.Keys(shardOf)) {
		if got, want := foundIn[name], shardOf[name]; got == "" {
			return nil, invalidf("%s: tensor %s: not in %s", indexFile, quote(name), want)
		} else if got != want {
			return nil, invalidf("%s: tensor %s: in %s, want it in %s", indexFile, quote(name), got, want)
		}
	}
	return tensors, nil
}
