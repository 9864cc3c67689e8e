package engine

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/weights/weightstest"
)

// fieldCase is a checkpoint with changed small files, with the results of sentence-transformers for it, or with a part of
// the error that the engine refuses it with.
type fieldCase struct {
	Name   string         `json:"name"`
	Base   string         `json:"base"`
	Files  map[string]any `json:"files"` // patches, or texts
	Pairs  []goldenPair   `json:"pairs"`
	Refuse string         `json:"refuse"`
	Fails  string         `json:"fails"` // the error there
}

type fieldGoldens struct {
	Keys  map[string][]string `json:"keys"` // that the loaders read, by file
	Cases []fieldCase         `json:"cases"`
}

// The fields of the small files mean the same as to transformers and sentence-transformers; see
// tools/model/golden/fields.py and docs/checkpoint-fields.md.
func TestFieldsAgainstSentenceTransformers(t *testing.T) {
	var golden fieldGoldens
	readGolden(t, "fields.json", &golden)
	if len(golden.Cases) < 300 {
		t.Fatalf("%d cases, want at least 300", len(golden.Cases))
	}
	for i, c := range golden.Cases {
		if testing.Short() && i%4 > 0 { // nothing in it happens at once
			continue
		}
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
				compareScores(t, e, c.Pairs)
			}
		})
	}
}

// docs/checkpoint-fields.md lists all fields that the loaders read, and only fields of the cases; each verdict holds in a
// case.
func TestFieldsAreListed(t *testing.T) {
	var golden fieldGoldens
	readGolden(t, "fields.json", &golden)
	listed := listedFields(t)
	for file, keys := range golden.Keys {
		for _, key := range keys {
			if listed[file][key] == "" {
				t.Errorf("%s: %s is not listed", file, key)
			}
		}
	}
	refused, taken := map[string]bool{}, map[string]bool{}
	for _, c := range golden.Cases {
		for file, patch := range c.Files {
			for _, key := range patched("", patch) {
				if c.Refuse != "" {
					refused[file+" "+key] = true
				} else {
					taken[file+" "+key] = true
				}
			}
		}
	}
	for file, keys := range listed {
		for key, verdict := range keys {
			at := file + " " + key
			if verdict == "refused" && !refused[at] || verdict == "no effect" && !taken[at] || !refused[at] && !taken[at] {
				t.Errorf("%s: %s: %s is said, and no case has it", file, key, verdict)
			}
		}
	}
}

var (
	fieldSection = regexp.MustCompile("(?m)^## `(.+)`$")
	fieldRow     = regexp.MustCompile(`(?m)^\| ([^|]+) \| (applied|refused|no effect) \|`)
	fieldName    = regexp.MustCompile("`([^`]+)`")
)

// listedFields reads the tables: the verdict on a field, by file and field.
func listedFields(t *testing.T) map[string]map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "docs", "checkpoint-fields.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	listed := map[string]map[string]string{}
	sections := fieldSection.FindAllStringSubmatchIndex(text, -1)
	for i, s := range sections {
		end := len(text)
		if i+1 < len(sections) {
			end = sections[i+1][0]
		}
		fields := map[string]string{}
		for _, row := range fieldRow.FindAllStringSubmatch(text[s[1]:end], -1) {
			for _, name := range fieldName.FindAllStringSubmatch(row[1], -1) {
				fields[name[1]] = row[2]
			}
		}
		listed[text[s[2]:s[3]]] = fields
	}
	return listed
}

// patched returns the fields that a patch has, "model.dropout" for those within another.
func patched(path string, patch any) []string {
	var all []string
	switch patch := patch.(type) {
	case []any:
		for _, item := range patch {
			all = append(all, patched(path, item)...)
		}
	case map[string]any:
		for key, value := range patch {
			all = append(all, path+key)
			all = append(all, patched(path+key+".", value)...)
		}
	}
	return all
}

// compareScores wants the scores after the checkpoint's activation, where they are recorded.
func compareScores(t *testing.T, e *Engine, golden []goldenPair) {
	t.Helper()
	for i, g := range golden {
		if g.Score == nil {
			continue
		}
		scores, err := e.Score(t.Context(), []Pair{{Query: g.Query, Document: g.Document}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := scores.Row(0)[0]; !(math.Abs(got-*g.Score) <= logitTolerance) {
			t.Errorf("pair %d: score %v, want %v", i, got, *g.Score)
		}
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
