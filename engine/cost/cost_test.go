package cost

import "testing"

// TestPass counts by hand: two layers, H 4, F 8, sequences of 3 and 2 tokens, two bytes an element.
func TestPass(t *testing.T) {
	shape := BERT(2, 4, 8, 1)
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

// TestPerToken counts by hand: a token of the first of two layers needs 2 (12 + 4 + 8 + 8) 4 operations, one of the last, where
// only keys and values are of all tokens, 2 8 4 and 4 4 for its score; two tokens of the first need 4 4.
func TestPerToken(t *testing.T) {
	shape := BERT(2, 4, 8, 1)
	if flops, pair := PerToken(shape); flops != 256+64+16 || pair != 16./(256+64+16) {
		t.Errorf("a token needs %g, and a pair %g of it, want 336 and %g", flops, pair, 16./336)
	}
}

// TestWindows counts the scores of each query one by one.
func TestWindows(t *testing.T) {
	for _, window := range []int{0, 1, 2, 5, 9} {
		for length := 1; length <= 12; length++ {
			for _, queries := range []int{1, length} {
				for _, causal := range []bool{false, true} {
					want := 0
					for i := range length {
						for j := range length {
							asked := i < queries && !causal || i >= length-queries && causal && j <= i
							if asked && (window == 0 || max(i-j, j-i) <= window) {
								want++
							}
						}
					}
					l := Layer{Window: window, Causal: causal}
					if got := l.scores([]int{length}, func(int) int { return queries }); got != float64(want) {
						t.Errorf("window %d, causal %v, %d of %d queries: %g scores, want %d", window, causal, queries, length, got, want)
					}
				}
			}
		}
	}
	local := BERT(2, 4, 8, 1)
	local.Layers[0].Window = 3
	if _, got := PerToken(local); got != 0 {
		t.Errorf("with windows, a pair is %g of a token", got)
	}
}

// TestAttention counts by hand, for sequences of 6 and 2 tokens and H 4: of the first tokens alone, which see 3 and 2 keys, and
// with two products of positions in a score, made of a table of 10 rows.
func TestAttention(t *testing.T) {
	f := Format{Weight: 2, Activation: 2, Head: 2}
	near := BERT(1, 4, 8, 1)
	near.Layers[0].Window = 2
	if got, want := Pass(near, []int{6, 2}, f)[3], (Operation{0, Attention, 4 * 5 * 4, (2*2*4 + 2*5*4) * 2}); got != want {
		t.Errorf("near: %+v, want %+v", got, want)
	}
	relative := BERT(2, 4, 8, 1)
	relative.Layers[0].Terms, relative.Layers[0].Rows = 2, 10
	if got, want := Pass(relative, []int{6, 2}, f)[2], (Operation{0, Attention, 8 * 40 * 4, (2*8*4 + 2*8*4 + 2*10*4) * 2}); got != want {
		t.Errorf("relative: %+v, want %+v", got, want)
	}
}

// TestGated: a gated block has two products, of which one result is left; a mean needs all rows of the last layer.
func TestGated(t *testing.T) {
	plain := BERT(1, 4, 8, 1)
	gated := BERT(1, 4, 8, 1)
	gated.Layers[0].Gated, gated.AllRows = true, true
	f := Format{Weight: 2, Activation: 2, Head: 2}
	all, want := Pass(gated, []int{3, 2}, f), f.linear(0, Intermediate, 5, 16, 4)
	want.Bytes -= 5 * 8 * 2
	if got := all[4]; got != want {
		t.Errorf("gated: %+v, want %+v", got, want)
	}
	if all[1].Name != QKV || Pass(plain, []int{3, 2}, f)[1].Name != KeysValues {
		t.Errorf("with a mean: %+v", all[1])
	}
}

// TestKeptSums counts by hand: sums of H 4 are read and written in float32, and a position has D 2 numbers of four bytes.
func TestKeptSums(t *testing.T) {
	plain, kept := BERT(2, 4, 8, 1), BERT(2, 4, 8, 1)
	kept.KeptSums, kept.AllRows, plain.AllRows, kept.Layers[1].Rotary = true, true, true, 2
	f := Format{Weight: 2, Activation: 2, Head: 2}
	before, after := Pass(plain, []int{3, 2}, f), Pass(kept, []int{3, 2}, f)
	sum := float64(2*5*4*4 - 5*4*2)
	for i, more := range []float64{5 * 4 * 4, 0, 0, sum, 0, sum, 5 * 2 * 4, 0, sum, 0, sum, 0} {
		if got := after[i].Bytes - before[i].Bytes; got != more {
			t.Errorf("%s of layer %d moves %g bytes more, want %g", after[i].Name, after[i].Layer, got, more)
		}
	}
	if got, want := before[len(before)-1].Bytes, Pass(BERT(2, 4, 8, 1), []int{3, 2}, f)[12].Bytes+5*4*2; got != want {
		t.Errorf("a mean and its head move %g bytes, want %g", got, want)
	}
}

// TestGroups counts by hand a decoder: H 4, F 8, queries of 6, keys and values of 2, sequences of 3 and 2 tokens, which make
// 6 and 3 scores.
func TestGroups(t *testing.T) {
	shape := BERT(1, 4, 8, 1)
	shape.AllRows = true
	l := &shape.Layers[0]
	l.Queries, l.Keys, l.Causal = 6, 2, true
	got := Pass(shape, []int{3, 2}, Format{Weight: 2, Activation: 2, Head: 2})[1:4]
	want := []Operation{
		{0, QKV, 2 * 5 * 10 * 4, 10*4*2 + 10*4 + (5*4+5*10)*2},
		{0, Attention, 2 * 2 * (6 + 3) * 6, (2*5*6 + 2*5*2) * 2},
		{0, AttentionOutput, 2 * 5 * 6 * 4, 6*4*2 + 3*4*4 + (5*6+5*4+5*4)*2},
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
}
