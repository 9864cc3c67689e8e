package weightstest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/x448/float16"
)

func specs() []Spec { return append(Specs(), Tiny()) }

// The goldens were made from these bytes: after a change of a checkpoint, make engine/testdata/goldens_random.json anew
// (tools/model/golden).
var wantSHA256 = map[string]map[string]string{
	"random_f32": {
		"config.json":             "5bcd97bea32b77aa4f53928e7eec30aabbb255766664342a3ffb9809d5a30a07",
		"model.safetensors":       "25ab55459ead0aae71403b0acc04713ea260f68536828932bc862c26951fedc7",
		"special_tokens_map.json": "b6d346be366a7d1d48332dbc9fdf3bf8960b5d879522b7799ddba59e76237ee3",
		"tokenizer.json":          "9f34cef32fa31326c06c652de6a6f621be9c8189eb3327d3ef761ca014310731",
		"tokenizer_config.json":   "c3fcc8144d538db689632ef6f0d273f19b511bdcb0d752411a29f387763e526c",
	},
	"random_f16": {
		"config.json":             "1c4dd7ec46332555fac0a47d4af51e4742e1b3727fcb62ab4446719c4e602240",
		"model.safetensors":       "8eb68abaf2ea292d0b95b765d16215fe6857a5d2755a0259ff2332be10daf9f8",
		"special_tokens_map.json": "b6d346be366a7d1d48332dbc9fdf3bf8960b5d879522b7799ddba59e76237ee3",
		"tokenizer.json":          "8cecb26c4d01af070f19d5d03d6fca59e8de5472ae00846f1c1b5fe58f65a00b",
		"tokenizer_config.json":   "8467fdd23aa204706672b6c7bb6e8ba88453c78a28a04e18b3ba7bf446751e63",
	},
	"random_bf16": {
		"config.json":                      "131c8bc145bd5d7337c67a7b809fc86895d1bc0f1b716eb825a1691b597c6163",
		"model-00001-of-00003.safetensors": "60a45de77d91d6958028cdcd8176d476de75152c81d8420fca22e13f86062d5c",
		"model-00002-of-00003.safetensors": "4a328415f00923c4621149edae02a152bdbd3e2b45f0ec7fdf829e6d99d4aecd",
		"model-00003-of-00003.safetensors": "1d144f48900bd56be557423efa0d990ac6de6e4ed809dc33a6f0c14dfd4e1fa9",
		"model.safetensors.index.json":     "7bd1a4ee622a913e07a728e584faac29f34ca9134b959981639bb9f3bf6c1885",
		"special_tokens_map.json":          "b6d346be366a7d1d48332dbc9fdf3bf8960b5d879522b7799ddba59e76237ee3",
		"tokenizer.json":                   "3d79bf259a20741cf51081c4c297e87c0a0d38b4f76b13200a5155e34bb44315",
		"tokenizer_config.json":            "c71aab5dbe69160fe6c35985a0f299836107e5dc57e47c64fdc740529fdf9490",
	},
	"tiny": {
		"config.json":             "df2c2e2923ef42eefa3b6e4d5c62c16ee956b824fbb0923c3106a243ca74e1e9",
		"model.safetensors":       "d406ad97b665820683ffa3cddb05904f1f3971ca9666af5e4249e460d7c583a8",
		"special_tokens_map.json": "b6d346be366a7d1d48332dbc9fdf3bf8960b5d879522b7799ddba59e76237ee3",
		"tokenizer.json":          "032f4ecf4d7fd46067b62689517a497041ca8fae6796b1143d370a14e1b22b01",
		"tokenizer_config.json":   "3fc1bbbe1f606cda7b27d83b2c3ce6062939b90fff7e4b9f1906fae4334ab2d4",
	},
}

func TestFilesAreTheSameEverywhere(t *testing.T) {
	for _, s := range specs() {
		t.Run(s.Name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "made", "on the way")
			if err := Write(dir, s); err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			got := make(map[string]string)
			for _, e := range entries {
				data, err := os.ReadFile(filepath.Join(dir, e.Name()))
				if err != nil {
					t.Fatal(err)
				}
				sum := sha256.Sum256(data)
				got[e.Name()] = hex.EncodeToString(sum[:])
			}
			for _, name := range slices.Sorted(maps.Keys(got)) {
				if want := wantSHA256[s.Name][name]; got[name] != want {
					t.Errorf("%s: sha256 %s, want %q", name, got[name], want)
				}
			}
			if len(got) != len(wantSHA256[s.Name]) {
				t.Errorf("%d files, want %d", len(got), len(wantSHA256[s.Name]))
			}
		})
	}
}

// entry is a tensor as the header of a safetensors file has it.
type entry struct {
	DType   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets []int  `json:"data_offsets"`
}

// header reads a safetensors file apart: its tensors and their bytes.
func header(t *testing.T, file []byte) (map[string]entry, []byte) {
	t.Helper()
	n := binary.LittleEndian.Uint64(file)
	if n%8 != 0 || n > uint64(len(file)-8) {
		t.Fatalf("header of %d bytes in a file of %d", n, len(file))
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(file[8:8+n], &fields); err != nil {
		t.Fatal(err)
	}
	delete(fields, "__metadata__")
	tensors := make(map[string]entry)
	for name, raw := range fields {
		var e entry
		if err := json.Unmarshal(raw, &e); err != nil {
			t.Fatal(err)
		}
		tensors[name] = e
	}
	return tensors, file[8+n:]
}

func TestTensorsFillTheFileWithFiniteValues(t *testing.T) {
	for _, s := range specs() {
		t.Run(s.Name, func(t *testing.T) {
			files, err := Files(s)
			if err != nil {
				t.Fatal(err)
			}
			found := 0
			for _, name := range slices.Sorted(maps.Keys(files)) {
				if filepath.Ext(name) == ".safetensors" {
					found += checkFile(t, name, files[name])
				}
			}
			if want := len(s.tensors()); found != want {
				t.Errorf("%d tensors in the files, want %d", found, want)
			}
		})
	}
}

// checkFile checks one safetensors file and returns how many tensors it has.
func checkFile(t *testing.T, file string, data []byte) int {
	t.Helper()
	tensors, values := header(t, data)
	if len(tensors) == 0 {
		t.Errorf("%s: no tensors", file)
	}
	names := slices.SortedFunc(maps.Keys(tensors), func(a, b string) int {
		return tensors[a].Offsets[0] - tensors[b].Offsets[0]
	})
	end := 0
	for _, name := range names {
		e := tensors[name]
		size := dtypeBytes[e.DType]
		for _, d := range e.Shape {
			size *= d
		}
		if e.Offsets[0] != end || e.Offsets[1] != end+size {
			t.Errorf("%s: %s: offsets %v, want %d to %d", file, name, e.Offsets, end, end+size)
		}
		end += size
		checkValues(t, name, e.DType, values[e.Offsets[0]:e.Offsets[1]])
	}
	if end != len(values) {
		t.Errorf("%s: %d bytes of values, want %d", file, len(values), end)
	}
	return len(tensors)
}

// checkValues checks that the values are finite and not all alike.
func checkValues(t *testing.T, name, dtype string, data []byte) {
	t.Helper()
	if dtype == "I64" {
		return
	}
	different := make(map[float32]bool)
	for len(data) > 0 {
		var v float32
		switch dtype {
		case "F32":
			v = math.Float32frombits(binary.LittleEndian.Uint32(data))
		case "F16":
			v = float16.Frombits(binary.LittleEndian.Uint16(data)).Float32()
		case "BF16":
			v = math.Float32frombits(uint32(binary.LittleEndian.Uint16(data)) << 16)
		}
		if math.Abs(float64(v)) > 4 || math.IsNaN(float64(v)) {
			t.Fatalf("%s: value %v", name, v)
		}
		different[v] = true
		data = data[dtypeBytes[dtype]:]
	}
	if name != "classifier.bias" && len(different) < 6 {
		t.Errorf("%s: %d different values", name, len(different))
	}
}

func TestIndexNamesEachTensorOnceAndItsFile(t *testing.T) {
	for _, s := range specs() {
		files, err := Files(s)
		if err != nil {
			t.Fatal(err)
		}
		raw, ok := files["model.safetensors.index.json"]
		if ok != (s.Shards > 1) {
			t.Errorf("%s: index there: %v, with %d shards", s.Name, ok, s.Shards)
		}
		if !ok {
			continue
		}
		var index struct {
			Metadata struct {
				TotalSize int `json:"total_size"`
			} `json:"metadata"`
			WeightMap map[string]string `json:"weight_map"`
		}
		if err := json.Unmarshal(raw, &index); err != nil {
			t.Fatal(err)
		}
		got := make(map[string]string)
		totalBytes, shards := 0, 0
		for file, data := range files {
			if filepath.Ext(file) != ".safetensors" {
				continue
			}
			tensors, values := header(t, data)
			for name := range tensors {
				got[name] = file
			}
			totalBytes += len(values)
			shards++
		}
		if !maps.Equal(got, index.WeightMap) || totalBytes != index.Metadata.TotalSize || shards != s.Shards {
			t.Errorf("%s: %d shards, %d bytes, tensors %v; the index says %d bytes, %v",
				s.Name, shards, totalBytes, got, index.Metadata.TotalSize, index.WeightMap)
		}
	}
}

func TestVocabularyHasEachTokenOnce(t *testing.T) {
	bertBase := map[string]int{"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
	for _, s := range specs() {
		seen := make(map[string]bool)
		for id, token := range s.Vocab {
			if seen[token] {
				t.Errorf("%s: %q twice", s.Name, token)
			}
			seen[token] = true
			if want, special := bertBase[token]; special && id == want {
				t.Errorf("%s: %s has the id it has in bert-base, %d", s.Name, token, id)
			}
		}
		for token := range bertBase {
			if !seen[token] {
				t.Errorf("%s: no %s", s.Name, token)
			}
		}
	}
}

func TestRounding(t *testing.T) {
	for _, c := range []struct {
		bits uint32 // of the float32
		want uint16
	}{
		{0x3f800000, 0x3f80}, // 1
		{0x3f807fff, 0x3f80}, // below the middle
		{0x3f808000, 0x3f80}, // the middle, down to even
		{0x3f818000, 0x3f82}, // the middle, up to even
		{0x3f808001, 0x3f81}, // above the middle
		{0xbf818000, 0xbf82}, // the same below zero
		{0x3fffffff, 0x4000}, // into the exponent
		{0x80000000, 0x8000}, // -0
	} {
		if got := bfloat16(math.Float32frombits(c.bits)); got != c.want {
			t.Errorf("bfloat16(%08x) = %04x, want %04x", c.bits, got, c.want)
		}
	}
	// The same places for the library that rounds to F16: 2^-11 is half a step at 1.
	for _, c := range []struct {
		x    float32
		want uint16
	}{
		{1 + 1.0/2048, 0x3c00},
		{1 + 3.0/2048, 0x3c02},
		{1 + 1.0/2048 + 1.0/(1<<20), 0x3c01},
		{-1 - 3.0/2048, 0xbc02},
		{3.0 / (1 << 25), 0x0002}, // 1.5 steps, subnormal: to even
	} {
		if got := float16.Fromfloat32(c.x).Bits(); got != c.want {
			t.Errorf("float16(%g) = %04x, want %04x", c.x, got, c.want)
		}
	}
}
