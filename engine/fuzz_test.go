package engine

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// A tokenizer.json is somebody else's: whatever its post_processor says, either it is refused, or pairs can be put
// together by it.
func FuzzPairTemplate(f *testing.F) {
	f.Add([]byte(bertTemplate))
	f.Add([]byte(`{"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]}`))
	f.Add([]byte(`{"type": "ByteLevel"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		template, single, err := parseTemplates(jsontext.Value(data))
		if err != nil {
			return
		}
		q, d := []int32{7, 8}, []int32{9}
		got := template.assemble(q, d)
		if want := template.specials + len(q) + len(d); len(got.ids) != want || len(got.types) != want {
			t.Fatalf("%d ids and %d types, want %d", len(got.ids), len(got.types), want)
		}
		if single != nil {
			if alone := single.assemble(nil, d); len(alone.ids) != single.specials+len(d) || len(alone.types) != len(alone.ids) {
				t.Fatalf("alone: %d ids and %d types, want %d", len(alone.ids), len(alone.types), single.specials+len(d))
			}
		}
		for i, id := range got.ids {
			if id < 0 || got.types[i] < 0 {
				t.Fatalf("token %d is %d of type %d", i, id, got.types[i])
			}
		}
	})
}
