package httpapi

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/metalrank/metalrank/engine"
)

// rerankRequest is the body of POST /rerank. It owns its texts: they stay valid when the body's bytes are reused.
type rerankRequest struct {
	query      string
	texts      []string
	options    engine.Options
	returnText bool
}

// rerankDecoder reads a body token by token, and not into a struct: that way a message can name the value that is
// wrong, a null is told from an empty string, and texts past the limit are counted but not kept.
type rerankDecoder struct {
	json     *jsontext.Decoder
	maxTexts int
	request  rerankRequest

	hasQuery, hasTexts bool
	texts              int // entries of `texts`, kept or not
	truncate, left     bool
}

// decodeRerank reads and checks a body. It is strict about JSON (no duplicate names, only valid UTF-8, no lone
// surrogates) and lenient about what it holds: unknown fields are skipped, and null stands for a field's default.
func decodeRerank(body []byte, maxTexts int) (*rerankRequest, *failure) {
	// From a bytes.Buffer the decoder reads in place: it neither copies nor changes the body.
	d := &rerankDecoder{json: jsontext.NewDecoder(bytes.NewBuffer(body)), maxTexts: maxTexts, truncate: true}
	if f := d.object(); f != nil {
		return nil, f
	}
	switch _, err := d.json.ReadToken(); {
	case err == nil:
		return nil, failf(kindMalformed, "the body goes on after its JSON object")
	case !errors.Is(err, io.EOF):
		return nil, syntaxFailure(err)
	}
	if f := d.check(); f != nil {
		return nil, f
	}
	d.request.options.Truncation = d.truncation()
	return &d.request, nil
}

func (d *rerankDecoder) object() *failure {
	token, err := d.json.ReadToken()
	if err != nil {
		return syntaxFailure(err)
	}
	if token.Kind() != jsontext.KindBeginObject {
		return failf(kindValidation, "the body is %s, want an object", describe(token))
	}
	for {
		if token, err = d.json.ReadToken(); err != nil {
			return syntaxFailure(err)
		}
		if token.Kind() == jsontext.KindEndObject {
			return nil
		}
		if f := d.field(token.String()); f != nil {
			return f
		}
	}
}

func (d *rerankDecoder) field(name string) *failure {
	switch name {
	case "query":
		return d.query()
	case "texts":
		return d.list()
	case "truncate":
		return d.bool("truncate", &d.truncate)
	case "truncation_direction":
		return d.direction()
	case "raw_scores":
		return d.bool("raw_scores", &d.request.options.RawScores)
	case "return_text":
		return d.bool("return_text", &d.request.returnText)
	}
	if err := d.json.SkipValue(); err != nil {
		return syntaxFailure(err)
	}
	return nil
}

func (d *rerankDecoder) query() *failure {
	token, err := d.json.ReadToken()
	if err != nil {
		return syntaxFailure(err)
	}
	if token.Kind() != jsontext.KindString {
		return failf(kindValidation, "`query` is %s, want a string", describe(token))
	}
	d.request.query, d.hasQuery = token.String(), true
	return nil
}

func (d *rerankDecoder) list() *failure {
	token, err := d.json.ReadToken()
	if err != nil {
		return syntaxFailure(err)
	}
	if token.Kind() != jsontext.KindBeginArray {
		return failf(kindValidation, "`texts` is %s, want an array of strings", describe(token))
	}
	d.hasTexts = true
	for ; ; d.texts++ {
		if token, err = d.json.ReadToken(); err != nil {
			return syntaxFailure(err)
		}
		switch {
		case token.Kind() == jsontext.KindEndArray:
			return nil
		case token.Kind() != jsontext.KindString:
			return failf(kindValidation, "`texts[%d]` is %s, want a string", d.texts, describe(token))
		case d.texts < d.maxTexts:
			d.request.texts = append(d.request.texts, token.String())
		}
	}
}

func (d *rerankDecoder) bool(name string, to *bool) *failure {
	token, err := d.json.ReadToken()
	if err != nil {
		return syntaxFailure(err)
	}
	switch token.Kind() {
	case jsontext.KindTrue, jsontext.KindFalse:
		*to = token.Bool()
	case jsontext.KindNull:
	default:
		return failf(kindValidation, "`%s` is %s, want true or false", name, describe(token))
	}
	return nil
}

func (d *rerankDecoder) direction() *failure {
	token, err := d.json.ReadToken()
	if err != nil {
		return syntaxFailure(err)
	}
	switch token.Kind() {
	case jsontext.KindNull:
		return nil
	case jsontext.KindString:
		switch token.String() {
		case "Left", "left":
			d.left = true
			return nil
		case "Right", "right":
			return nil
		}
	}
	return failf(kindValidation, "`truncation_direction` is %s, want \"Left\" or \"Right\"", describe(token))
}

// truncation lets truncate: false win over a direction, which says how to cut and not whether.
func (d *rerankDecoder) truncation() engine.Truncation {
	switch {
	case !d.truncate:
		return engine.TruncateNever
	case d.left:
		return engine.TruncateLeft
	}
	return engine.TruncateRight
}

// check looks at what only the whole body shows.
func (d *rerankDecoder) check() *failure {
	switch {
	case !d.hasQuery:
		return failf(kindValidation, "`query` is missing, want a string")
	case !d.hasTexts:
		return failf(kindValidation, "`texts` is missing, want an array of strings")
	case d.texts == 0:
		return failf(kindEmpty, "`texts` cannot be empty")
	case d.texts > d.maxTexts:
		return failf(kindValidation, "`texts` has %d entries, the limit is %d", d.texts, d.maxTexts)
	}
	if d.request.query == "" {
		for i, text := range d.request.texts {
			if text == "" {
				return failf(kindEmpty, "`query` and `texts[%d]` are both empty", i)
			}
		}
	}
	return nil
}

// describe names a value in a message: what it is, and what it says where that is short.
func describe(token jsontext.Token) string {
	switch token.Kind() {
	case jsontext.KindBeginObject:
		return "an object"
	case jsontext.KindBeginArray:
		return "an array"
	case jsontext.KindString:
		return quote(token.String())
	case jsontext.KindNumber:
		return "the number " + clip(token.String())
	}
	return token.String() // null, true, false
}

// syntaxFailure says what is wrong with the JSON. A duplicate name is grammatical, so it is not malformed.
func syntaxFailure(err error) *failure {
	if errors.Is(err, io.EOF) { // before any value: a cut-off one is io.ErrUnexpectedEOF
		return failf(kindMalformed, "the body is empty, want a JSON object")
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) && errors.Is(err, jsontext.ErrDuplicateName) {
		return failf(kindValidation, "the JSON object has %s more than once", quote(syntax.JSONPointer.LastToken()))
	}
	return failf(kindMalformed, "malformed JSON: %s", strings.TrimPrefix(err.Error(), "jsontext: "))
}
