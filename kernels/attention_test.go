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
