// Package builtin is the default model, inside the binary: an English cross-encoder of twelve layers that ranks with no
// download. README.md is its card. tools/model makes the files, and they are checked by SHA-256 whenever they are opened.
//
// The package must not know more of the model than its files, which package weights interprets.
package builtin

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"maps"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/weights"
)

// Name is the name of the model.
const Name = "ms-marco-MiniLM-L12-v2"

// Slices and not an embed.FS, which returns copies.
var (
	//go:embed config.json
	configJSON []byte
	//go:embed special_tokens_map.json
	specialTokensMapJSON []byte
	//go:embed tokenizer.json.zst
	tokenizerJSONZst []byte
	//go:embed tokenizer_config.json
	tokenizerConfigJSON []byte
	//go:embed model.safetensors.zst
	modelSafetensorsZst []byte
	//go:embed README.md
	readme []byte
)

// file is an entry of the generated table: a file's size and hash once it is decompressed.
type file struct {
	name      string
	sizeBytes int
	sha256    string // hexadecimal
	frames    []int  // compressed bytes of each zstd frame; nil for a file that is stored as it is
}

// Open returns the model. It decompresses and hashes 34 MB, spread over the cores, into memory that Close gives back to
// the garbage collector; files that are stored plain are not copied and must not be changed. A caller that needs the
// model more than once should keep the checkpoint.
func Open() (*weights.Checkpoint, error) {
	return open(table, map[string][]byte{
		"config.json":             configJSON,
		"special_tokens_map.json": specialTokensMapJSON,
		"tokenizer.json":          tokenizerJSONZst,
		"tokenizer_config.json":   tokenizerConfigJSON,
		"model.safetensors":       modelSafetensorsZst,
	}, readme)
}

// open checks the stored files against the table. A mismatch can only mean a damaged binary, or a table that was not
// generated with the files.
func open(table []file, stored map[string][]byte, readme []byte) (*weights.Checkpoint, error) {
	files := maps.Clone(stored)
	files["README.md"] = readme // prose: not in the table
	for _, f := range table {
		hash, data := sha256.New(), stored[f.name]
		if f.frames == nil {
			hash.Write(data)
		} else {
			var err error
			if data, err = inflate(f, data, hash); err != nil {
				return nil, fmt.Errorf("builtin: %s: %w", f.name, err)
			}
		}
		if sum := hex.EncodeToString(hash.Sum(nil)); sum != f.sha256 || len(data) != f.sizeBytes {
			return nil, fmt.Errorf("builtin: %s: %d bytes with sha256 %s, want %d with %s",
				f.name, len(data), sum, f.sizeBytes, f.sha256)
		}
		files[f.name] = data
	}
	return weights.FromMemory(Name, files)
}

//go:embed goldens.json
var goldensJSON []byte

// Golden is a pair of texts, with the tokens and the logit that transformers computes with the model's weights, in fp32,
// for the pair alone in a batch.
type Golden struct {
	Query    string  `json:"query"`
	Document string  `json:"document"`
	Tokens   int     `json:"n_tokens"`
	IDs      string  `json:"ids_sha256"` // the first 16 hexadecimal digits of the SHA-256 of the token ids, as "1,2,3"
	Logit    float64 `json:"logit"`
}

// Goldens returns the results that tools/model/golden recorded of the model, to check any machine against.
func Goldens() ([]Golden, error) {
	var recorded struct {
		Pairs []Golden `json:"pairs"`
	}
	if err := json.Unmarshal(goldensJSON, &recorded); err != nil {
		return nil, fmt.Errorf("builtin: goldens.json: %w", err)
	}
	return recorded.Pairs, nil
}
