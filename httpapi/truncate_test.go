package httpapi

import (
	"context"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/engine"
)

// TestNoAutoTruncate wants texts to be refused, not cut, in requests of text-embeddings-inference's that don't say
// whether to truncate, and in no others.
func TestNoAutoTruncate(t *testing.T) {
	var truncation engine.Truncation
	model := &fakeRanker{rerank: func(_ context.Context, q string, d []string, o engine.Options) (*engine.Ranking, error) {
		truncation = o.Truncation
		return rankByWords(q, d, o), nil
	}}
	_, lenient := start(t, model, Config{})
	_, strict := start(t, model, Config{NoAutoTruncate: true})
	const right, left, never = engine.TruncateRight, engine.TruncateLeft, engine.TruncateNever
	for _, c := range []struct {
		fields          string
		lenient, strict engine.Truncation
	}{
		{`"texts":["a"]`, right, never},
		{`"texts":["a"],"truncate":null`, right, never},
		{`"texts":["a"],"truncate":true`, right, right},
		{`"texts":["a"],"truncate":false`, never, never},
		{`"texts":["a"],"truncation_direction":"Left"`, left, never},
		{`"texts":["a"],"truncate":true,"truncation_direction":"Left"`, left, left},
		{`"documents":["a"]`, right, right},
		{`"documents":["a"],"truncation":false`, never, never},
	} {
		for address, want := range map[string]engine.Truncation{lenient: c.lenient, strict: c.strict} {
			if got := rerank(t, address, `{"query":"a",`+c.fields+`}`); got.status != 200 || truncation != want {
				t.Errorf("%s: %d, truncation %v, want %v; strict: %t", c.fields, got.status, truncation, want, address == strict)
			}
		}
	}
	if got := send(t, strict, "GET", request("GET", "/info", "")); !strings.Contains(got.body, `"auto_truncate":false`) {
		t.Errorf("%s", got.body)
	}
}
