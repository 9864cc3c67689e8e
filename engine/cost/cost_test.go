package cost

import "testing"

// TestPass counts by hand: two layers, H 4, F 8, sequences of 3 and 2 tokens, two bytes an element.
func TestPass(t *testing.T) {
	shape := Shape{Layers: 2, Hidden: 4, FeedForward: 8, Embedding: 4, Labels: 1}
	got := Pass(shape, []int{3, 2}, Format{Weight: 2, Activation: 2, Head: 2})
	want := []Operation{
		{NoLayer, Embed, 0, 5*(3*4*2+12+4*2) + 2*4*4},
		{0, QKV, 2 * 5 * 12 * 4, 12*4*2 + 12*4 + (5*4+5*12)*2},
		{0, Attention, 2 * 2 * (9 + 4) * 4, (5*4 + 2*5*4 + 5*4) * 2},
		{0, AttentionOutput, 2 * 5 * 4 * 4, 4*4*2 + 3*4*4 + (5*4+5*4+5*4)*2},
		{0, Intermediate, 2 * 5 * 8 * 4, 8*4*2 + 8*4 + (5*4+5*8)*2},
		{0, Output, 2 * 5 * 4 * 8, 4*8*2 + 3*4*4 + (5*8+5*4+5*4)*2},
		{1, KeysValues, 2 * 5 * 8 * 4, 8*4*2 + 8*4 + (5*4+5*8)*2},
		{1, Query, 2 * 2 * 4 * 4, 4*4*2 + 4*4 + (2*4+2*4)*2},
		{1, Attention, 2 * 2 * (3 + 2) * 4, (2*4 + 2*5*4 + 2*4) * 2},
		{1, AttentionOutput, 2 * 2 * 4 * 4, 4*4*2 + 3*4*4 + (2*4+2*4+2*4)*2},
		{1, Intermediate, 2 * 2 * 8 * 4, 8*4*2 + 8*4 + (2*4+2*8)*2},
		{1, Output, 2 * 2 * 4 * 8, 4*8*2 + 3*4*4 + (2*8+2*4+2*4)*2},
		{NoLayer, Head, 2*2*4*4 + 2*2*4*1, 4*4*2 + 4*4 + 4*4 + 4 + 2*4*2 + 2*4},
	}
	if len(got) != len(want) {
		t.Fatalf("%d operations, want %d: %v", len(got), len(want), got)
	}
	var flops, bytes float64
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("operation %d is %+v, want %+v", i, got[i], want[i])
		}
		flops, bytes = flops+want[i].FLOPs, bytes+want[i].Bytes
	}
	if f, b := Total(got); f != flops || b != bytes {
		t.Errorf("in all %g and %g, want %g and %g", f, b, flops, bytes)
	}
	narrow := shape
	narrow.Embedding = 2
	if o := Pass(narrow, []int{3, 2}, Format{}); len(o) != len(want)+1 || o[1].Name != Projection || o[1].FLOPs != 2*5*4*2 {
		t.Errorf("with embeddings of 2: %+v", o)
	}
}

// TestPair counts by hand: a token of the first of two layers needs 2 (12 + 4 + 8 + 8) 4 operations, one of the last, where
// only keys and values are of all tokens, 2 8 4 and 4 4 for its score; two tokens of the first need 4 4.
func TestPair(t *testing.T) {
	shape := Shape{Layers: 2, Hidden: 4, FeedForward: 8, Embedding: 4, Labels: 1}
	if got, want := Pair(shape), 16./(256+64+16); got != want {
		t.Errorf("a pair is %g of a token, want %g", got, want)
	}
}
