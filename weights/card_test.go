package weights

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCard(t *testing.T) {
	for readme, want := range map[string]Card{
		"": {},
		"# no front matter\n---\nlicense: x\n---\n":             {},
		"---\nlicense: mit\n":                                   {}, // never closed
		"---\n---\n":                                            {},
		"---\nlicense: mit\n---":                                {License: "mit"},
		"\n ---\r\nlicense: mit\r\nlanguage: en\r\n---\r\ntext": {License: "mit", Languages: []string{"en"}},
		"---\nlicense: other # free\nlicense_name: 'a: b'\nlicense_link: \"LICENSE\"\n---\n": {
			License: "other", LicenseName: "a: b", LicenseLink: "LICENSE"},
		"---\nlanguage:\n- en\n- no\n- 'zh'\n- 7\nbase_model: [a/b, c/d]\n---\n": {
			Languages: []string{"en", "no", "zh", "7"}, BaseModel: []string{"a/b", "c/d"}},
		"---\nlanguage: [\n  en,\n]\nbase_model:\n    - a/b\n# comment: x\n\n    - c/d\nlicense:\n- mit\n- cc0-1.0\n---\n": {
			Languages: []string{"en"}, BaseModel: []string{"a/b", "c/d"}, License: "mit, cc0-1.0"},
		"---\nlicense:\nlanguage: null\nbase_model: ~\n---\n": {},
		"---\nlicense: >\n  two\n  lines\npipeline_tag: text-ranking\nlibrary_name: x\n---\n": {
			License: "two lines", PipelineTag: "text-ranking", Library: "x"},
		"---\nmodel-index: [{{ not yaml\n  license: gpl\n'license': mit\n\"license_name\" : n\n---\n": {License: "mit", LicenseName: "n"},
		"---\nlicense: mit\n---\nlicense: gpl\n---\n":                                                 {License: "mit"},
	} {
		got, err := parseCard([]byte(readme))
		if err != nil {
			t.Errorf("%q: %v", readme, err)
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q\n-want +got %s", readme, d)
		}
	}
}

func TestCardErrors(t *testing.T) {
	for readme, want := range map[string]string{
		"license: {a: b}":                         "license: want a string or a list of strings",
		"license: [[a]]":                          "license: want a list of strings",
		"license: *x":                             "license: want a string or a list of strings",
		"license: 'x":                             "license: not valid YAML: [1:10] could not find end character of single-quoted text",
		"license: \xff":                           "license: not UTF-8",
		"license: a\nlicense: b":                  "license: appears twice",
		"license: " + strings.Repeat("[", 100):    "license: too large, want at most 16.4 kB",
		"license: " + strings.Repeat("x", 20_000): "license: too large, want at most 16.4 kB",
	} {
		_, err := parseCard([]byte("---\n" + want[:0] + readme + "\n---\n"))
		wantError(t, err, "weights: README.md: "+want, ErrInvalid)
	}
}

// TestCardCost: a hostile README costs neither time nor stack. At quadratic cost, it would take hours.
func TestCardCost(t *testing.T) {
	for _, s := range []string{"[", "{a: ", "- ", "&a ", "? ", "a: \n", "'", "\n- ", "#", "!t ", "*a ", "|\n"} {
		for _, key := range []string{"license: ", "x: "} {
			readme := []byte("---\n" + key + strings.Repeat(s, (4<<20)/len(s)) + "\n---\n")
			start := time.Now()
			_, _ = parseCard(readme)
			if d := time.Since(start); d > time.Minute {
				t.Errorf("%q after %q: %v", s, key, d)
			}
		}
	}
}

func TestCheckpointCard(t *testing.T) {
	c, err := FromMemory("x", tinyFiles())
	if err != nil {
		t.Fatal(err)
	}
	if card, err := c.Card(); err != nil || !cmp.Equal(card, Card{}) {
		t.Errorf("no README: %+v, %v", card, err)
	}
	c, err = Open(writeFolder(t, with(tinyFiles(), "README.md", "---\nlicense: mit\n---\n")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if card, err := c.Card(); err != nil || card.License != "mit" {
		t.Errorf("%+v, %v", card, err)
	}
}
