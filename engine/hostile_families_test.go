package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// hostilePair is a pair of texts that tokenizers are apt to get wrong, and hashes of transformers' ids by family.
type hostilePair struct {
	Query    string            `json:"query"`
	Document string            `json:"document"`
	Left     bool              `json:"left"`
	AsText   bool              `json:"as_text"`
	IDs      map[string]string `json:"ids"`
}

// Hostile texts have transformers' ids in the tokenizers of the families, XLM-RoBERTa's and ALBERT's with the normaliser of
// SentencePiece; see tools/model/golden/hostile.py.
func TestHostileTextsAgainstTransformers(t *testing.T) {
	normalizer, pairs := readLines[jsontext.Value, hostilePair](t, "hostile.jsonl.zst")
	if len(pairs) < 200 || len(pairs[0].IDs) < 5 {
		t.Fatalf("%d pairs for %d families", len(pairs), len(pairs[0].IDs))
	}
	for name := range pairs[0].IDs {
		for _, asText := range []bool{false, true} {
			files := familyFiles(t, name)
			if name == "xlm_roberta" || name == "albert" {
				var file map[string]jsontext.Value
				if err := json.Unmarshal(files[tokenizerJSON], &file); err != nil {
					t.Fatal(err)
				}
				file["normalizer"] = normalizer
				var err error
				if files[tokenizerJSON], err = json.Marshal(file); err != nil {
					t.Fatal(err)
				}
			}
			dir := t.TempDir()
			for name, data := range files {
				if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			e := openConfig(t, Config{Model: dir, Backend: BackendReference, MaxLength: 24, SpecialTokensAsText: asText})
			compared := 0
			for i, p := range pairs {
				if p.AsText != asText {
					continue
				}
				var options Options
				if p.Left {
					options.Truncation = TruncateLeft
				}
				made, err := e.encode(t.Context(), []Pair{{Query: p.Query, Document: p.Document}}, &options)
				if err != nil {
					t.Fatal(err)
				}
				if hashIDs(made[0].ids) != p.IDs[name] {
					t.Errorf("%s, pair %d (%q, %q), left %t, special tokens as text %t: other ids, %d", name, i, p.Query, p.Document, p.Left, asText, made[0].ids)
				}
				compared++
			}
			if compared < 100 {
				t.Errorf("%s: %d pairs compared", name, compared)
			}
		}
	}
}
