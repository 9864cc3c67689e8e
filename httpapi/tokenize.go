package httpapi

import (
	"bytes"
	"context"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/metalrank/metalrank/engine"
)

// tokenizeForm is the body of text-embeddings-inference's /tokenize.
var tokenizeForm = form{
	textOrTexts("inputs", func(c *call) *list { return &c.documents }),
	flag("add_special_tokens", false, func(c *call) *bool { return &c.noSpecialTokens }),
	modelField,
}

const (
	// maxInputsBytes bounds all texts of a request together: texts are not cut to a model's length here.
	maxInputsBytes = engine.MaxTokenizeBytes
	// answerBytes is the most bytes of answer for a byte of text, with a token for each character.
	answerBytes = 80
	// maxAnswersBytes bounds the answers being made or sent at one time: a client may read one as slowly as it likes.
	maxAnswersBytes = 4 * answerBytes * maxInputsBytes
)

func checkTokenize(c *call) *failure {
	if f := c.documents.need("inputs", "a string or an array of strings"); f != nil {
		return f
	}
	if n := c.documents.bytes(); n > maxInputsBytes {
		return failf(kindTooLarge, "`%s` has %d bytes of text, the limit is %d", c.documents.name, n, maxInputsBytes)
	}
	return nil
}

func (l *list) bytes() int {
	n := 0
	for _, text := range l.texts {
		n += len(text)
	}
	return n
}

// answerBudget is the memory of answers that are being made or sent. The zero value is free.
type answerBudget struct{ used atomic.Int64 }

// acquire takes n bytes, unless more than limit would be taken.
func (b *answerBudget) acquire(n, limit int) bool {
	if b.used.Add(int64(n)) <= int64(limit) {
		return true
	}
	b.release(n)
	return false
}

func (b *answerBudget) release(n int) { b.used.Add(-int64(n)) }

// tokenize answers /tokenize.
func (s *Server) tokenize(ctx context.Context, model *served, c *call, w *writer) (stats engine.Stats, err error) {
	n := answerBytes * c.documents.bytes()
	if !s.answers.acquire(n, maxAnswersBytes) {
		return stats, &engine.OverloadError{
			Limit: "bytes of /tokenize's answers", Value: int(s.answers.used.Load()) + n, Max: maxAnswersBytes,
		}
	}
	s.trimmer.add(int64(n))
	w.release = func() {
		s.answers.release(n)
		s.trimmer.add(-int64(n))
	}
	w.raw("[")
	for i, text := range c.documents.texts {
		tokens, err := model.Tokenize(ctx, text, !c.noSpecialTokens, c.options)
		if err != nil {
			return stats, err
		}
		if i > 0 {
			w.raw(",")
		}
		appendTokens(w, tokens)
		stats.Tokens += len(tokens)
	}
	w.raw("]")
	return stats, nil
}

// appendTokens appends the tokens of one text. Special tokens stand for no part of the text.
func appendTokens(w *writer, tokens []engine.Token) {
	w.raw("[")
	for i := range tokens {
		t := &tokens[i]
		if i > 0 {
			w.raw(",")
		}
		w.raw(`{"id":`).integer(int(t.ID)).raw(`,"text":`).string(t.Text)
		if t.Special {
			w.raw(`,"special":true,"start":null,"stop":null}`)
			continue
		}
		w.raw(`,"special":false,"start":`).integer(t.Start).raw(`,"stop":`).integer(t.Stop).raw("}")
	}
	w.raw("]")
}

// streamedBody is an answer that holds a part of a budget until it is sent, or sending fails.
type streamedBody struct {
	bytes.Reader
	w *writer
}

// Close implements io.Closer; fasthttp calls it.
func (b *streamedBody) Close() error {
	b.w.free()
	return nil
}

// streamBody makes w the answer, and frees it once that is sent. It returns false for answers that setBody makes: small
// ones, which are cheap to copy, and those to be compressed.
func streamBody(ctx *fasthttp.RequestCtx, w *writer) bool {
	request := &ctx.Request.Header
	if len(w.buffer) < keepWriter || request.HasAcceptEncoding("zstd") || request.HasAcceptEncoding("gzip") {
		return false
	}
	ctx.Response.Header.Add(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
	body := &streamedBody{w: w}
	body.Reset(w.buffer)
	ctx.SetBodyStream(body, len(w.buffer))
	return true
}
