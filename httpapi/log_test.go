package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/metalrank/metalrank/engine"
)

func TestLineLimit(t *testing.T) {
	var l lineLimit
	now := time.Unix(1, 0)
	passed := 0
	for range 3 * maxLines {
		if _, ok := l.allow(now); ok {
			passed++
		}
	}
	if passed != maxLines {
		t.Errorf("%d lines passed, want %d", passed, maxLines)
	}
	if suppressed, ok := l.allow(now.Add(lineInterval)); !ok || suppressed != 2*maxLines {
		t.Errorf("%d, %t, want %d held, and to pass", suppressed, ok, 2*maxLines)
	}
	if suppressed, ok := l.allow(now.Add(lineInterval)); !ok || suppressed != 0 {
		t.Errorf("%d, %t, want none held, and to pass", suppressed, ok)
	}
}

// TestErrorLines has a client cause many errors with line feeds in their texts.
func TestErrorLines(t *testing.T) {
	var log lockedBuffer
	_, address := start(t, &fakeRanker{rerank: func(_ context.Context, q string, _ []string, _ engine.Options) (*engine.Ranking, error) {
		return nil, errors.New(q + "\nlevel=INFO msg=forged\n" + strings.Repeat("x", 1<<20))
	}}, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 2 * maxLines {
		got := send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", `{"query":"a","texts":["b"]}`, typeJSON))
		checkRefusal(t, got, 500, "Internal")
	}
	if lines := strings.Count(log.String(), "\n"); lines != maxLines || strings.Contains(log.String(), "\nlevel=INFO") {
		t.Errorf("%d lines in the log, want %d, and none forged", lines, maxLines)
	}
	if size := len(log.String()); size > maxLines*(maxCauseBytes+1024) {
		t.Errorf("the log has %d bytes", size)
	}
}

// TestMessageSize bounds the size of answers to errors that may have the client's text in them.
func TestMessageSize(t *testing.T) {
	_, address := start(t, &fakeRanker{rerank: func(context.Context, string, []string, engine.Options) (*engine.Ranking, error) {
		return nil, errors.Join(engine.ErrTokenizer, errors.New(strings.Repeat("é", 1<<20)))
	}}, Config{})
	long := strings.Repeat("n", 100_000)
	for _, body := range []string{
		`{"query":"a","texts":["b"]}`,
		`{"query":"a","documents":[{"` + long + `":{"` + long + `":tru}}]}`,
		`{"query":"a","documents":[{"` + long + `":[]}],"rank_fields":["` + long + `"]}`,
		`{"query":"a","documents":[{"x":1}],"rank_fields":["` + long + `"` + strings.ReplaceAll(numbered(1, 60), `,"`, `,"`+long[:1000]) + `]}`,
		`{"model":"` + long + `","query":"a","documents":["b"]}`, `{"query":"a","texts":["b"],"truncate":"` + long + `"}`,
		`{"` + long + `":1,"` + long + `":2}`, `"` + strings.Repeat(`\u0001`, 1000) + `"`,
	} {
		got := rerank(t, address, body)
		if len(got.body) > 4096 || got.status < 400 {
			t.Errorf("%.60s: %d with %d bytes: %.200s", body, got.status, len(got.body), got.body)
		}
	}
}
