package httpapi

import "github.com/metalrank/metalrank/engine"

// tokenizeForm is the body of text-embeddings-inference's /tokenize.
var tokenizeForm = form{
	textOrTexts("inputs", func(c *call) *list { return &c.list }),
	flag("add_special_tokens", false, func(c *call) *bool { return &c.noSpecialTokens }),
	modelField,
}

func checkTokenize(c *call) *failure { return c.list.need("inputs", "a string or an array of strings") }

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
