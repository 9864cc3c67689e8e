package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/weights/weightstest"
)

// TestAlone scores texts by themselves, among pairs: their ids are those of the tokenizer's own template for one text.
func TestAlone(t *testing.T) {
	e := openConfig(t, Config{})
	const text = "The shop opens at nine."
	pairs := []Pair{{Query: "when?", Document: text}, {Query: "not used", Document: text, NoQuery: true}, {Document: text}, {Document: text, NoQuery: true}}
	sequences, err := e.encode(t.Context(), pairs, &Options{})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := e.Tokenize(t.Context(), text, true, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := sequence{prefix: 1}
	for _, token := range tokens {
		want.ids, want.types = append(want.ids, int32(token.ID)), append(want.types, 0)
	}
	for _, i := range []int{1, 3} {
		if diff := cmp.Diff(want, sequences[i], cmp.AllowUnexported(sequence{})); diff != "" {
			t.Errorf("%d: (-want +got)\n%s", i, diff)
		}
	}
	if len(sequences[2].ids) != len(want.ids)+1 || len(sequences[0].ids) <= len(want.ids)+1 {
		t.Errorf("pairs of %d and %d tokens, the text has %d", len(sequences[0].ids), len(sequences[2].ids), len(want.ids))
	}
	scores, err := e.Score(t.Context(), pairs, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if v := scores.Values; v[1] != v[3] || v[1] == v[2] || v[1] == v[0] {
		t.Errorf("%v: the same text alone has one score, another than with a query", v)
	}
}

// TestMaxPairTokens cuts pairs as a smaller MaxLength would.
func TestMaxPairTokens(t *testing.T) {
	e, small := openConfig(t, Config{}), openConfig(t, Config{MaxLength: 9})
	pairs := []Pair{{Query: "a b c d e f", Document: "g h i j k l m"}, {Document: "a b c d e f g h i j k", NoQuery: true}, {Query: "a", Document: "b"}}
	for _, truncation := range []Truncation{TruncateRight, TruncateLeft} {
		got, err := e.encode(t.Context(), pairs, &Options{Truncation: truncation, MaxPairTokens: 9})
		if err != nil {
			t.Fatal(err)
		}
		want, err := small.encode(t.Context(), pairs, &Options{Truncation: truncation})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(sequence{})); diff != "" || len(got[0].ids) != 9 || len(got[1].ids) != 9 {
			t.Errorf("%v: (-want +got)\n%s", truncation, diff)
		}
	}
	var length *LengthError
	if _, err := e.Score(t.Context(), pairs, Options{Truncation: TruncateNever, MaxPairTokens: 9}); !errors.As(err, &length) || length.Limit != 9 {
		t.Errorf("%v, want a limit of 9", err)
	}
	var value *ValueError
	if _, err := e.Score(t.Context(), pairs, Options{MaxPairTokens: 7}); !errors.As(err, &value) || value.Field != "MaxPairTokens" {
		t.Errorf("%v", err)
	}
	if _, err := e.Score(t.Context(), pairs, Options{MaxPairTokens: 1 << 30}); err != nil {
		t.Error(err)
	}
}

// TestNoTokens: without special tokens, two empty texts are a sequence of no tokens. It is refused by its number, and does
// not reach the scheduler.
func TestNoTokens(t *testing.T) {
	dir := t.TempDir()
	spec := weightstest.Tiny()
	spec.TokenizerKeys = map[string]any{"tokenizer_class": "PreTrainedTokenizerFast"} // which adds none of its own
	if err := weightstest.Write(dir, spec); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "tokenizer.json")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var tokenizer map[string]any
	if err := json.Unmarshal(data, &tokenizer); err != nil {
		t.Fatal(err)
	}
	piece := func(id string, kind int) any {
		return map[string]any{"Sequence": map[string]any{"id": id, "type_id": kind}}
	}
	tokenizer["post_processor"] = map[string]any{
		"type": "TemplateProcessing", "single": []any{piece("A", 0)}, "pair": []any{piece("A", 0), piece("B", 1)},
		"special_tokens": map[string]any{},
	}
	if data, err = json.Marshal(tokenizer); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	e := openConfig(t, Config{Model: dir})
	if _, err := e.Score(t.Context(), []Pair{{Query: "a", Document: "b"}}, raw); err != nil {
		t.Fatal(err)
	}
	for _, pair := range []Pair{{}, {Query: " ", Document: "\t"}, {NoQuery: true}} {
		_, err := e.Score(t.Context(), []Pair{{Query: "a", Document: "b"}, pair}, raw)
		if !errors.Is(err, ErrTokenizer) || !strings.Contains(err.Error(), "pair 1 has no tokens") {
			t.Errorf("%+v: error %v, want that pair 1 has no tokens", pair, err)
		}
	}
}
