package engine

import (
	"slices"
	"testing"
)

// The lengths that longestFirst keeps are compared with transformers in goldens_test.go. This checks, exhaustively, the
// properties that the rest of the package relies on.
func TestLongestFirst(t *testing.T) {
	for limit := 0; limit <= 13; limit++ {
		for a := range 30 {
			for b := range 30 {
				keepA, keepB := longestFirst(a, b, limit)
				if keepA < 0 || keepB < 0 || keepA > a || keepB > b || keepA+keepB != min(a+b, limit) {
					t.Fatalf("longestFirst(%d, %d, %d) = %d, %d", a, b, limit, keepA, keepB)
				}
				// Longest first: no token is cut off a text that is already the shorter one.
				if keepA < a && keepA < keepB-1 || keepB < b && keepB < keepA-1 {
					t.Fatalf("longestFirst(%d, %d, %d) = %d, %d: cut the shorter text", a, b, limit, keepA, keepB)
				}
			}
		}
	}
}

func TestDocumentNeedIsEnough(t *testing.T) {
	for limit := 0; limit <= 13; limit++ {
		for a := range 30 {
			need := documentNeed(a, limit)
			wantA, wantB := longestFirst(a, need, limit)
			for b := need + 1; b < 60; b++ {
				if keepA, keepB := longestFirst(a, b, limit); keepA != wantA || keepB != wantB {
					t.Fatalf("limit %d, query %d: a document of %d gives %d, %d, one of %d gives %d, %d",
						limit, a, b, keepA, keepB, need, wantA, wantB)
				}
			}
		}
	}
}

func TestCut(t *testing.T) {
	ids := []int32{1, 2, 3, 4, 5}
	for _, c := range []struct {
		mode Truncation
		keep int
		want []int32
	}{
		{TruncateRight, 2, []int32{1, 2}},
		{TruncateLeft, 2, []int32{4, 5}},
		{TruncateRight, 5, ids},
		{TruncateLeft, 0, nil},
	} {
		if got := c.mode.cut(ids, c.keep); !slices.Equal(got, c.want) {
			t.Errorf("%s.cut(%d) = %v, want %v", c.mode, c.keep, got, c.want)
		}
	}
}
