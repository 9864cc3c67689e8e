package engine

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/weights/weightstest"
)

// fieldCase is a checkpoint whose small files say something else, with what sentence-transformers computes then, or with
// a part of the error that the engine refuses it with.
type fieldCase struct {
	Name   string         `json:"name"`
	Base   string         `json:"base"`
	Files  map[string]any `json:"files"` // patches, or texts
	Pairs  []goldenPair   `json:"pairs"`
	Refuse string         `json:"refuse"`
	Fails  string         `json:"fails"` // the error there
}

// The fields of the small files mean what they mean to transformers and sentence-transformers; see
// tools/golden/fields.py and docs/checkpoint-fields.md.
func TestFieldsAgainstSentenceTransformers(t *testing.T) {
	var golden struct {
		Cases []fieldCase `json:"cases"`
	}
	readGolden(t, "fields.json", &golden)
	if len(golden.Cases) < 300 {
		t.Fatalf("%d cases, want at least 300", len(golden.Cases))
	}
	for _, c := range golden.Cases {
		t.Run(c.Base+"/"+c.Name, func(t *testing.T) {
			e, err := Open(t.Context(), Config{Model: c.write(t), Backend: BackendCPU})
			if err == nil {
				defer func() {
					if err := e.Close(); err != nil {
						t.Error(err)
					}
				}()
			}
			switch {
			case c.Refuse != "":
				if err == nil || !strings.Contains(err.Error(), c.Refuse) {
					t.Errorf("error %v, want one with %q", err, c.Refuse)
				}
			case err != nil:
				t.Errorf("%v; sentence-transformers: %v", err, c.Fails)
			default:
				compareGoldens(t, e, c.Pairs, logitTolerance)
			}
		})
	}
}

// write makes the folder.
func (c *fieldCase) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if c.Base == "bert" {
		if err := weightstest.Write(dir, weightstest.Specs()[0]); err != nil {
			t.Fatal(err)
		}
	} else if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "families", c.Base))); err != nil {
		t.Fatal(err)
	}
	for name, patch := range c.Files {
		path := filepath.Join(dir, name)
		if patch == nil {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if text, ok := patch.(string); ok {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		var old any
		if data, err := os.ReadFile(path); err == nil {
			if err := json.Unmarshal(data, &old); err != nil {
				t.Fatal(err)
			}
		}
		data, err := json.Marshal(mergePatch(old, patch))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// mergePatch is RFC 7396.
func mergePatch(target, patch any) any {
	fields, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	merged := map[string]any{}
	if old, ok := target.(map[string]any); ok {
		maps.Copy(merged, old)
	}
	for key, value := range fields {
		if value == nil {
			delete(merged, key)
		} else {
			merged[key] = mergePatch(merged[key], value)
		}
	}
	return merged
}
