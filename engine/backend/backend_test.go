package backend

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAppend(t *testing.T) {
	var b Batch
	b.Append([]int32{9, 8, 7}, []int32{0, 0, 1})
	b.Append([]int32{6}, []int32{1})
	want := Batch{
		IDs: []int32{9, 8, 7, 6}, Types: []int32{0, 0, 1, 1}, Positions: []int32{0, 1, 2, 0}, Starts: []int32{0, 3, 4},
	}
	if diff := cmp.Diff(want, b); diff != "" {
		t.Errorf("batch (-want +got):\n%s", diff)
	}
	if b.Tokens() != 4 || b.Sequences() != 2 {
		t.Errorf("%d tokens in %d sequences, want 4 in 2", b.Tokens(), b.Sequences())
	}
	b.AppendAfter(0, []int32{5, 4}, []int32{0, 0})
	want.IDs, want.Types = append(want.IDs, 5, 4), append(want.Types, 0, 0)
	want.Positions, want.Starts, want.Prefixes = append(want.Positions, 3, 4), append(want.Starts, 6), []int32{-1, -1, 0}
	if diff := cmp.Diff(want, b); diff != "" {
		t.Errorf("batch with a prefix (-want +got):\n%s", diff)
	}
	if start, stop := b.Prefix(2); start != 0 || stop != 3 {
		t.Errorf("the prefix is tokens %d to %d, want 0 to 3", start, stop)
	}
	b.Reset()
	if b.Tokens() != 0 || b.Sequences() != 0 || b.Check(Limits{}) != nil {
		t.Errorf("after Reset: %d tokens in %d sequences, Check: %v", b.Tokens(), b.Sequences(), b.Check(Limits{}))
	}
}

func TestCheck(t *testing.T) {
	limits := Limits{Vocab: 10, Types: 2, Positions: 4}
	good := func() *Batch {
		return &Batch{IDs: []int32{9, 0}, Types: []int32{1, 0}, Positions: []int32{3, 0}, Starts: []int32{0, 1, 2}}
	}
	if err := good().Check(limits); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		damage func(*Batch)
		want   string
	}{
		{"id too large", func(b *Batch) { b.IDs[0] = 10 }, "token 0: token id 10, the model has 10"},
		{"id negative", func(b *Batch) { b.IDs[1] = -1 }, "token 1: token id -1"},
		{"type too large", func(b *Batch) { b.Types[0] = 2 }, "token type 2, the model has 2"},
		{"position too large", func(b *Batch) { b.Positions[0] = 4 }, "position 4, the model has 4"},
		{"short types", func(b *Batch) { b.Types = b.Types[:1] }, "2 ids, 1 types and 2 positions"},
		{"no starts", func(b *Batch) { b.Starts = nil }, "starts must run from 0 to 2"},
		{"starts end early", func(b *Batch) { b.Starts[2] = 1 }, "starts must run from 0 to 2"},
		{"empty sequence", func(b *Batch) { b.Starts = []int32{0, 2, 2} }, "sequence 1 has 0 tokens"},
		{"too few prefixes", func(b *Batch) { b.Prefixes = []int32{-1} }, "1 prefixes, want one for each of 2"},
		{"a later prefix", func(b *Batch) { b.Prefixes = []int32{-1, 1} }, "sequence 1: prefix 1, want an earlier"},
		{"a negative prefix", func(b *Batch) { b.Prefixes = []int32{-2, -1} }, "sequence 0: prefix -2"},
		{"falling starts", func(b *Batch) { b.Starts = []int32{0, 3, 2} }, "sequence 1 has -1 tokens"},
	} {
		b := good()
		c.damage(b)
		if err := b.Check(limits); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}
