package httpapi

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/weights/builtin"
)

// The texts of a request are bounded together.
func TestTokenizeInputsAreBounded(t *testing.T) {
	text := strings.Repeat("a", maxInputsBytes/2)
	c := &call{documents: list{name: "inputs", texts: []string{text, text}, entries: 2}}
	if f := checkTokenize(c); f != nil {
		t.Errorf("%d bytes: %v", maxInputsBytes, f.message)
	}
	c.documents.texts = append(c.documents.texts, "b")
	f := checkTokenize(c)
	if f == nil || f.kind != kindTooLarge || !strings.Contains(f.message, "`inputs` has 262145 bytes of text, the limit is 262144") {
		t.Errorf("a byte more: %+v", f)
	}
}

// The budget for an answer is taken before the work, refused when it is used up, and given back on every way out.
func TestTokenizeAnswersHaveABudget(t *testing.T) {
	s := &Server{}
	ranker := &served{Model: &fakeRanker{}}
	c := &call{documents: list{name: "inputs", texts: []string{strings.Repeat("a b ", 1000)}, entries: 1}}
	s.answers.used.Store(maxAnswersBytes - 1)
	w := newWriter()
	_, err := s.tokenize(t.Context(), ranker, c, w)
	if f := engineFailure(err, c); err == nil || f.kind != kindOverloaded || !strings.Contains(f.message, "/tokenize's answers") {
		t.Errorf("with nothing left: %v", err)
	}
	w.free()
	if got := s.answers.used.Load(); got != maxAnswersBytes-1 {
		t.Errorf("%d bytes are taken after a refusal, want %d", got, maxAnswersBytes-1)
	}
	s.answers.used.Store(0)
	w = newWriter()
	if _, err := s.tokenize(t.Context(), ranker, c, w); err != nil {
		t.Fatal(err)
	}
	if got, want := s.answers.used.Load(), int64(answerBytes*4000); got != want {
		t.Errorf("%d bytes are taken, want %d", got, want)
	}
	w.free()
	if got := s.answers.used.Load(); got != 0 {
		t.Errorf("%d bytes are left over", got)
	}
}

// A long answer holds its part of the budget until it is sent.
func TestLongAnswerIsHeldUntilSent(t *testing.T) {
	var ctx fasthttp.RequestCtx
	w := newWriter()
	given := false
	w.release = func() { given = true }
	w.buffer = append(w.buffer, bytes.Repeat([]byte("x"), keepWriter)...)
	want := bytes.Clone(w.buffer)
	if !streamBody(&ctx, w) || given {
		t.Fatalf("the answer is not held, or given back before it is sent: %t", given)
	}
	if got := responseBytes(&ctx.Response); got != len(want) || given {
		t.Errorf("the log has %d bytes, want %d; given back %t", got, len(want), given)
	}
	var sent bytes.Buffer
	if err := ctx.Response.BodyWriteTo(&sent); err != nil || !bytes.Equal(sent.Bytes(), want) {
		t.Errorf("%d bytes sent: %v", sent.Len(), err)
	}
	if !given {
		t.Error("the answer is sent and nothing is given back")
	}
}

// A long answer arrives whole, and its part of the budget is free again.
func TestLongTokenizeAnswer(t *testing.T) {
	e, err := engine.Open(t.Context(), engine.Config{Embedded: builtin.Open})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s, address := startAll(t, Single(e), Config{})
	body := `{"inputs":"` + strings.Repeat("!", 40_000) + `","add_special_tokens":false}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/tokenize", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentTypeJSON)
	request.Header.Set("Accept-Encoding", "identity")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || bytes.Count(answer, []byte(`"id":`)) != 40_000 {
		t.Errorf("status %d, %d tokens: %v", response.StatusCode, bytes.Count(answer, []byte(`"id":`)), err)
	}
	if err := s.Shutdown(t.Context()); err != nil { // after which the last answer is freed
		t.Fatal(err)
	}
	if got := s.answers.used.Load(); got != 0 {
		t.Errorf("%d bytes are left over", got)
	}
}
