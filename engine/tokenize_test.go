package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTokenize wants the ids of transformers: the embedded model's vocabulary is bert-base-uncased's.
func TestTokenize(t *testing.T) {
	e := openConfig(t, Config{})
	hello := []Token{
		{ID: 7592, Text: "Hello", Start: 0, Stop: 5},
		{ID: 1010, Text: ",", Start: 5, Stop: 6},
		{ID: 2088, Text: "wörld", Start: 7, Stop: 12},
		{ID: 100, Text: "🙂", Start: 13, Stop: 14}, // unknown
		{ID: 19204, Text: "token", Start: 15, Stop: 20},
		{ID: 3989, Text: "ization", Start: 20, Stop: 27},
	}
	whole := append(append([]Token{{ID: 101, Text: "[CLS]", Special: true}}, hello...), Token{ID: 102, Text: "[SEP]", Special: true})
	for _, c := range []struct {
		text    string
		special bool
		want    []Token
	}{{"Hello, wörld 🙂 tokenization", true, whole}, {"Hello, wörld 🙂 tokenization", false, hello}, {"", true, []Token{whole[0], whole[7]}}} {
		got, err := e.Tokenize(t.Context(), c.text, c.special, Options{})
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%q, special tokens %t: %v (-want +got)\n%s", c.text, c.special, err, diff)
		}
	}
	if _, err := e.Tokenize(t.Context(), strings.Repeat("a", MaxTokenizeBytes+1), true, Options{}); !errors.Is(err, ErrTokenizer) {
		t.Errorf("a text over the limit: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Tokenize(gone, "a", true, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Tokenize(t.Context(), "a", true, Options{}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
