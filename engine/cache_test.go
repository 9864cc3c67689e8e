package engine

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/metalrank/metalrank/weights/weightstest"
)

// The cache never has more bytes than it may, returns only tokens that were put, and no fewer than were asked for.
func TestTokenCache(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(cacheShards*entryBytes, 40_000).Draw(t, "bytes")
		c := newTokenCache(most)
		truth := make([]int32, 60) // of every text; put gets a beginning of it
		for i := range truth {
			truth[i] = int32(i)
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			text := fmt.Sprint("text ", rapid.IntRange(0, 30).Draw(t, "text"))
			if rapid.Bool().Draw(t, "put") {
				n := rapid.IntRange(0, len(truth)).Draw(t, "tokens")
				c.put(text, truth[:n], n == len(truth))
			} else {
				need := rapid.IntRange(0, 70).Draw(t, "need")
				got, ok := c.get(text, need)
				if ok && (!slices.Equal(got, truth[:len(got)]) || len(got) < need && len(got) < len(truth)) {
					t.Fatalf("%q: got %v for at least %d", text, got, need)
				}
			}
			if _, _, bytes := c.stats(); bytes > most {
				t.Fatalf("%d bytes, want at most %d", bytes, most)
			}
		}
	})
}

func TestTokenCacheForgetsTheOldest(t *testing.T) {
	var s *cacheShard
	c := newTokenCache(cacheShards * 4 * entryBytes * 2)
	var texts []string // of one shard
	for i := 0; len(texts) < 8; i++ {
		text := fmt.Sprint(i)
		if s == nil {
			s = c.shard(text)
		}
		if c.shard(text) == s {
			texts = append(texts, text)
		}
	}
	for _, text := range texts {
		c.put(text, make([]int32, 10), true)
		c.get(texts[0], 1) // keeps it
	}
	if _, ok := c.get(texts[0], 1); !ok {
		t.Error("what was asked for all the time is gone")
	}
	if _, ok := c.get(texts[1], 1); ok {
		t.Error("what was asked for longest ago is still there")
	}
}

// Scores are the same with and without the cache, for texts cut in any way, and texts seen before are found.
func TestScoresWithTheCache(t *testing.T) {
	cached := openTest(t, weightstest.Tiny(), Config{MaxLength: 12})
	plain := openTest(t, weightstest.Tiny(), Config{MaxLength: 12, TokenCacheBytes: -1})
	pairs := mixedPairs(30)
	for _, options := range []Options{
		{RawScores: true}, {RawScores: true, Truncation: TruncateLeft}, {RawScores: true, MaxDocumentTokens: 3},
		{RawScores: true, MaxQueryTokens: 1, MaxDocumentTokens: 2, Truncation: TruncateLeft}, {RawScores: true},
	} {
		want, err := plain.Score(t.Context(), pairs, options)
		if err != nil {
			t.Fatal(err)
		}
		var calls sync.WaitGroup
		for range 4 {
			calls.Go(func() {
				got, err := cached.Score(t.Context(), pairs, options)
				if err != nil {
					t.Error(err)
				} else if !slices.Equal(got.Values, want.Values) {
					t.Errorf("%+v: other scores with the cache", options)
				}
			})
		}
		calls.Wait()
	}
	if c := cached.Counters(); c.CacheHits == 0 || c.CacheMisses == 0 || c.CacheBytes == 0 {
		t.Errorf("counters %+v", c)
	}
	if c := plain.Counters(); c.CacheHits != 0 || c.CacheBytes != 0 {
		t.Errorf("counters of an engine without cache: %+v", c)
	}
}
