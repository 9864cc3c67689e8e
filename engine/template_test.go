package engine

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

const bertTemplate = `{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
		{"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
	"pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
		{"SpecialToken": {"id": "[SEP]", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}},
		{"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
	"special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [101], "tokens": ["[CLS]"]},
		"[SEP]": {"id": "[SEP]", "ids": [102], "tokens": ["[SEP]"]}}}`

func TestPairTemplate(t *testing.T) {
	for name, data := range map[string]string{
		"template": bertTemplate,
		"bert":     `{"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]}`,
		"sequence": `{"type": "Sequence", "processors": [{"type": "ByteLevel"}, ` + bertTemplate + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			template, single, err := parseTemplates(jsontext.Value(data))
			if err != nil {
				t.Fatal(err)
			}
			got := template.assemble([]int32{7, 8}, []int32{9})
			if diff := cmp.Diff([]int32{101, 7, 8, 102, 9, 102}, got.ids); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]int32{0, 0, 0, 0, 1, 1}, got.types); diff != "" {
				t.Errorf("types (-want +got):\n%s", diff)
			}
			alone := single.assemble(nil, []int32{7, 8})
			if diff := cmp.Diff([]int32{101, 7, 8, 102}, alone.ids); diff != "" || !slices.Equal(alone.types, make([]int32, 4)) {
				t.Errorf("a text alone has types %v, ids (-want +got):\n%s", alone.types, diff)
			}
			// An empty document keeps both [SEP], as in transformers' batch form.
			if got := template.assemble(nil, nil); len(got.ids) != 3 || len(got.types) != 3 {
				t.Errorf("an empty pair has %d ids and %d types, want 3", len(got.ids), len(got.types))
			}
		})
	}
}

// RoBERTa separates the texts with two tokens, and knows no types.
func TestRobertaTemplate(t *testing.T) {
	template, single, err := parseTemplates(jsontext.Value(`{"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := sequence{ids: []int32{0, 7, 8, 2, 2, 9, 2}, types: make([]int32, 7)}
	if alone := single.assemble(nil, []int32{9}); !slices.Equal(alone.ids, []int32{0, 9, 2}) {
		t.Errorf("a text alone: %v", alone.ids)
	}
	got := template.assemble([]int32{7, 8}, []int32{9})
	if got.prefix != 5 {
		t.Errorf("%d tokens before the document, want 5", got.prefix)
	}
	if diff := cmp.Diff(want.ids, got.ids); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.types, got.types); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
}

func TestPairTemplateRefuses(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"not an object", `7`, "post_processor"},
		{"other type", `{"type": "Byte"}`, `type "Byte" is not supported`},
		{"sequence of two", `{"type": "Sequence", "processors": [` + bertTemplate + `,` + bertTemplate + `]}`, "2 processors that add tokens, want 1"},
		{"sequence in a sequence", `{"type": "Sequence", "processors": [{"type": "Sequence"}]}`, "a Sequence in a Sequence"},
		{"unknown special token", strings.Replace(bertTemplate, `"[CLS]": {`, `"[BOS]": {`, 1), `names the special token "[CLS]"`},
		{"negative id", strings.Replace(bertTemplate, "101", "-1", 1), "id -1"},
		{"no document", strings.Replace(bertTemplate, `"id": "B"`, `"id": "A"`, 1), "sequence A 2 times and B 0 times"},
		{"other sequence", strings.Replace(bertTemplate, `"id": "B"`, `"id": "C"`, 1), "pair[3] is neither"},
		{"many special tokens", strings.Replace(bertTemplate, "[101]", "[1,2,3,4,5]", 1), "7 special tokens, the limit is 6"},
		{"bert without sep", `{"type": "BertProcessing", "cls": ["[CLS]", 101]}`, "sep: want a token and its id"},
		{"bert with a text id", `{"type": "BertProcessing", "sep": ["[SEP]", "x"], "cls": ["[CLS]", 101]}`, "sep: id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := parseTemplates(jsontext.Value(c.data))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// A post_processor that adds no tokens has no pairs, and a text alone is as it is.
func TestTemplateWithoutTokens(t *testing.T) {
	for _, data := range []string{``, `null`, `{"type": "ByteLevel"}`, `{"type": "Sequence", "processors": [{"type": "ByteLevel"}]}`} {
		pair, single, err := parseTemplates(jsontext.Value(data))
		if err != nil || pair != nil {
			t.Fatalf("%s: pair %v, error %v", data, pair, err)
		}
		if got := single.assemble(nil, []int32{7, 8}); !slices.Equal(got.ids, []int32{7, 8}) || single.specials != 0 {
			t.Errorf("%s: a text alone is %v with %d special tokens", data, got.ids, single.specials)
		}
	}
}
