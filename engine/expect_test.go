package engine

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// A request is refused by an estimate of its tokens from its bytes, before it is tokenised.
func TestOverloadIsJudgedBeforeTheWork(t *testing.T) {
	e := openConfig(t, Config{MaxQueueTokens: 1000})
	e.dispatcher.mu.Lock()
	err := e.queue.Reserve("another", 990)
	e.dispatcher.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	_, misses, _ := e.tokens.stats()
	_, err = e.Rerank(t.Context(), "query", slices.Repeat([]string{strings.Repeat("word ", 50)}, 10), Options{})
	if !errors.Is(err, ErrOverloaded) {
		t.Errorf("a request of 500 tokens with room for 10: %v", err)
	}
	if _, after, _ := e.tokens.stats(); after != misses {
		t.Errorf("%d texts of it were tokenised", after-misses)
	}
	if got := e.Counters().Refused; got != 1 {
		t.Errorf("%d requests refused, want 1", got)
	}
	e.unreserve("another", 990)
	if _, err := e.Rerank(t.Context(), "query", []string{"word"}, Options{}); err != nil {
		t.Errorf("with room: %v", err)
	}
	if err := e.Full(""); err != nil {
		t.Errorf("something of a request is left reserved: %v", err)
	}
}

func TestTokenRateFollowsTheTexts(t *testing.T) {
	var r tokenRate
	if got := r.get(); got != firstTokenRate {
		t.Errorf("at first %g, want %g", got, firstTokenRate)
	}
	for range 100 {
		r.add(1000, 3000)
	}
	if got := r.get(); got < 0.333 || got > 0.334 {
		t.Errorf("%g after texts of 3 bytes a token", got)
	}
	r.add(0, 0)
	if got := r.get(); got < 0.333 {
		t.Errorf("%g after nothing", got)
	}
}
