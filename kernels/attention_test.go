package kernels

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
)

// TestItems counts the keys of items by hand: sequences of 3, 70 and 1 tokens.
func TestItems(t *testing.T) {
	starts := []int32{0, 3, 73, 74}
	for _, test := range []struct {
		window     int
		all, first []AttentionItem
	}{
		{0, []AttentionItem{{0, 3, 0, 3}, {3, 70, 3, 64}, {3, 70, 67, 6}, {73, 1, 73, 1}}, []AttentionItem{{0, 3, 0, 1}, {3, 70, 1, 1}, {73, 1, 2, 1}}},
		{2, []AttentionItem{{0, 3, 0, 3}, {3, 66, 3, 64}, {65, 8, 67, 6}, {73, 1, 73, 1}}, []AttentionItem{{0, 3, 0, 1}, {3, 3, 1, 1}, {73, 1, 2, 1}}},
		{1, []AttentionItem{{0, 3, 0, 3}, {3, 65, 3, 64}, {66, 7, 67, 6}, {73, 1, 73, 1}}, []AttentionItem{{0, 2, 0, 1}, {3, 2, 1, 1}, {73, 1, 2, 1}}},
		{maxWindow, []AttentionItem{{0, 3, 0, 3}, {3, 70, 3, 64}, {3, 70, 67, 6}, {73, 1, 73, 1}}, []AttentionItem{{0, 3, 0, 1}, {3, 70, 1, 1}, {73, 1, 2, 1}}},
	} {
		if got := AppendItems(nil, starts, test.window); !slices.Equal(got, test.all) {
			t.Errorf("window %d: %v, want %v", test.window, got, test.all)
		}
		if got := AppendSingleItems(nil, starts, test.window, false); !slices.Equal(got, test.first) {
			t.Errorf("window %d, first tokens: %v, want %v", test.window, got, test.first)
		}
	}
}

// TestCausalItems counts the keys of causal items by hand: sequences of 3, 70 and 1 tokens, the second behind the first one's, and
// the third behind the second one's. A window leaves out keys by 64, of prefixes first.
func TestCausalItems(t *testing.T) {
	starts, behind := []int32{0, 3, 73, 74}, []int32{-1, 0, 1}
	for _, test := range []struct {
		name     string
		prefixes []int32
		window   int
		last     bool
		want     CausalItems
	}{
		{"alone", nil, 0, false, CausalItems{
			[]AttentionItem{{0, 3, 0, 3}, {3, 64, 3, 64}, {3, 70, 67, 6}, {73, 1, 73, 1}}, make([]AttentionPrefix, 4),
		}},
		{"prefixes", behind, 0, false, CausalItems{
			[]AttentionItem{{0, 3, 0, 3}, {3, 67, 3, 64}, {3, 73, 67, 6}, {73, 71, 73, 1}}, []AttentionPrefix{{}, {0, 3}, {0, 3}, {3, 70}},
		}},
		{"last tokens", behind, 0, true, CausalItems{
			[]AttentionItem{{0, 3, 0, 1}, {3, 73, 1, 1}, {73, 71, 2, 1}}, []AttentionPrefix{{}, {0, 3}, {3, 70}},
		}},
		{"window of 2", behind, 2, false, CausalItems{
			[]AttentionItem{{0, 3, 0, 3}, {3, 67, 3, 64}, {64, 9, 67, 6}, {73, 7, 73, 1}}, []AttentionPrefix{{}, {0, 3}, {3, 0}, {67, 6}},
		}},
		{"last tokens, window of 3", behind, 3, true, CausalItems{
			[]AttentionItem{{0, 3, 0, 1}, {64, 9, 1, 1}, {73, 7, 2, 1}}, []AttentionPrefix{{}, {3, 0}, {67, 6}},
		}},
	} {
		var got CausalItems
		got.Append(starts, test.prefixes, test.window, test.last)
		if !slices.Equal(got.Items, test.want.Items) || !slices.Equal(got.Prefixes, test.want.Prefixes) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestScoresRefused(t *testing.T) {
	library := Open(simtest.Open(t, sim.Config{}), F16)
	simtest.CloseLater(t, library)
	off := metal.At(sized(64), 2)
	for want, s := range map[string]Scores{
		"D is 132, want a multiple of 4 up to 128":                             {Size: 132},
		"G is 3, want a divisor of A":                                          {KeyHeads: 3},
		"window is -1, want 0 to 2^30":                                         {Window: -1},
		"window is 1073741825, want 0 to 2^30":                                 {Window: maxWindow + 1},
		"slopes begin at byte 2, want a multiple of 4":                         {Slopes: off},
		"terms of positions is 0, want at least 1":                             {Relative: &Relative{}},
		"reach is -1, want 0 to 2^30":                                          {Relative: &Relative{Keys: true, Reach: -1}},
		"rows of the table of positions begin at byte 2, want a multiple of 8": {Relative: &Relative{Keys: true, Table: off}},
		"numbers of rows of positions begin at byte 2, want a multiple of 4":   {Relative: &Relative{Queries: true, Rows: off}},
	} {
		s.Heads, s.Size = 2, cmp.Or(s.Size, 32)
		if _, err := library.NewAttention(s); err == nil || !strings.Contains(err.Error(), "kernels: attention: "+want) {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
	}
}
