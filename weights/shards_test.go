package weights

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// shardedFiles splits the tiny model over two shards.
func shardedFiles() map[string][]byte {
	all := bertTensors(tiny, BF16)
	parts := map[string][]Tensor{
		"model-00001-of-00002.safetensors": all[:20],
		"model-00002-of-00002.safetensors": all[20:],
	}
	files := map[string][]byte{configFile: []byte(configJSON(tiny))}
	var entries []string
	for shard, tensors := range parts {
		files[shard] = writeSafetensors(tensors)
		for _, x := range tensors {
			entries = append(entries, fmt.Sprintf("%q:%q", x.Name, shard))
		}
	}
	files[indexFile] = []byte(`{"metadata":{"total_size":1},"weight_map":{` + strings.Join(entries, ",") + `}}`)
	return files
}

func TestShards(t *testing.T) {
	for name, open := range map[string]func(map[string][]byte) (*Checkpoint, error){
		"memory": func(f map[string][]byte) (*Checkpoint, error) { return FromMemory("tiny", f) },
		"folder": func(f map[string][]byte) (*Checkpoint, error) { return Open(writeFolder(t, f)) },
	} {
		t.Run(name, func(t *testing.T) {
			c, err := open(shardedFiles())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			b, err := c.Plan()
			if err != nil || len(b.Layers) != 2 || len(c.Tensors()) != len(bertTensors(tiny, BF16)) {
				t.Fatalf("%v, %d tensors", err, len(c.Tensors()))
			}
			decodeAll(c)
		})
	}
}

func TestIndexErrors(t *testing.T) {
	const one, two = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
	all := bertTensors(tiny, BF16)
	index := func(s string) map[string][]byte { return with(shardedFiles(), indexFile, s) }
	shard := func(s string) map[string][]byte { return index(`{"weight_map":{"a":"` + s + `"}}`) }
	bad := func(s string) string {
		return `weights: model.safetensors.index.json: tensor "a": shard ` + fmt.Sprintf("%q", s) +
			`, want the name of a .safetensors file in the same folder`
	}
	var many []string
	for i := range maxShards + 1 {
		many = append(many, fmt.Sprintf(`"%d":"%d.safetensors"`, i, i))
	}
	for _, c := range []struct {
		files map[string][]byte
		want  string
		kind  error
	}{
		{index(``), `weights: model.safetensors.index.json: empty, want the file itself: a download or a copy was cut off`, ErrInvalid},
		{index(`[]`), `weights: model.safetensors.index.json: got "[", want an object`, ErrInvalid},
		{index(`{}`), `weights: model.safetensors.index.json: no weight_map`, ErrInvalid},
		{index(`{"weight_map":{}}`), `weights: model.safetensors.index.json: no weight_map`, ErrInvalid},
		{index(`{"weight_map":[]}`), `weights: model.safetensors.index.json: got "[", want an object`, ErrInvalid},
		{index(`{"weight_map":{"a":1}}`), bad("1"), ErrInvalid},
		{index(`{"weight_map":{"a":null}}`), bad("null"), ErrInvalid},
		{index(`{"weight_map":{"a":"x.safetensors","a":"x.safetensors"}}`), `weights: model.safetensors.index.json: key "a" appears twice`, ErrInvalid},
		{index(`{"weight_map":{"a":"x.safetensors"}}{}`), `weights: model.safetensors.index.json: a second JSON value follows the first`, ErrInvalid},
		{shard("../x.safetensors"), bad("../x.safetensors"), ErrInvalid},
		{shard("/etc/x.safetensors"), bad("/etc/x.safetensors"), ErrInvalid},
		{shard("sub/x.safetensors"), bad("sub/x.safetensors"), ErrInvalid},
		{shard(`C:x.safetensors`), bad(`C:x.safetensors`), ErrInvalid},
		{shard(`..\\x.safetensors`), bad(`..\x.safetensors`), ErrInvalid},
		{shard(`x\u0000.safetensors`), bad("x\x00.safetensors"), ErrInvalid},
		{shard(""), bad(""), ErrInvalid},
		{shard("pytorch_model.bin"), bad("pytorch_model.bin"), ErrInvalid},
		{shard("gone.safetensors"), `weights: fixture: no gone.safetensors: file does not exist`, fs.ErrNotExist},
		{index(`{"weight_map":{` + strings.Join(many, ",") + `}}`), `weights: model.safetensors.index.json: 1025 shards, want at most 1024`, ErrInvalid},
		{index(`{"weight_map":{"a":"` + one + `"}}`), `weights: model.safetensors.index.json: tensor "a": not in ` + one, ErrInvalid},
		{
			index(`{"weight_map":{"classifier.bias":"` + one + `","bert.embeddings.LayerNorm.bias":"` + two + `"}}`),
			`weights: model.safetensors.index.json: tensor "bert.embeddings.LayerNorm.bias": in ` + one + `, want it in ` + two, ErrInvalid,
		},
		{
			with(shardedFiles(), two, string(writeSafetensors(all[19:]))),
			fmt.Sprintf("weights: tensor %q: in both %s and %s", all[19].Name, one, two), ErrInvalid,
		},
		{with(shardedFiles(), two, ""), "weights: " + two + ": empty, want the file itself: a download or a copy was cut off", ErrInvalid},
	} {
		_, err := FromMemory("fixture", c.files)
		wantError(t, err, c.want, c.kind)
	}
}

// TestSingleFileWins: with both there, transformers takes the single file.
func TestSingleFileWins(t *testing.T) {
	files := with(tinyFiles(), indexFile, "broken")
	c, err := FromMemory("tiny", files)
	if err != nil {
		t.Fatal(err)
	}
	if x, _ := c.Tensor("classifier.bias"); x.DType != F32 {
		t.Errorf("dtype %v, want that of the single file", x.DType)
	}
}
