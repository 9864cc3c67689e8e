package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/metalrank/metalrank/engine"
)

// call is one request, in any dialect. It owns its texts: they stay valid when the body's bytes are reused.
type call struct {
	model      string // "": none named
	query      string
	hasQuery   bool
	documents  list     // documents, second texts of pairs, or texts to tokenise
	queries    list     // first texts of pairs: one, or as many as documents has
	noQuery    []bool   // by index: the document is alone and not in a pair; false beyond its end
	rankFields []string // of documents that are objects

	topN            int  // 0: all
	topNNotPositive bool // top_n is there and is 0 or less
	returnTexts     bool
	noTruncation    bool
	truncation      bool // asked for
	left            bool // cut at the beginning
	rawScores       bool
	activation      bool // asked for
	noActivation    bool
	noSpecialTokens bool
	options         engine.Options

	characters      int // of all texts; the query counts once
	queryCharacters int
}

// scored returns the number of pairs to score.
func (c *call) scored() int { return max(len(c.documents.texts), len(c.queries.texts)) }

// list is a field of texts.
type list struct {
	name     string // of the field, for messages; "" until it is read
	texts    []string
	isString bool // one string, and not an array
	// objects are the entries that are objects, as they are written, by index; nil where all are strings.
	objects map[int]string
	// entries counts those past the limit, too.
	entries int
}

// ofTEI tells whether a body with the list is in the dialect of text-embeddings-inference.
func (l *list) ofTEI() bool { return l.name == "texts" || l.name == "inputs" }

// field is one field of a body and its reader, which reads the next value. A reader returns false if the value is not
// JSON, or if it called refuse because the field does not take the value.
type field struct {
	name string
	read func(d *decoder, name string) bool
}

// form lists the fields of a body, at most 64; other fields are skipped.
type form []field

// limits of a body; see Config.
type limits struct {
	texts           int
	queryCharacters int
	textCharacters  int
}

// decoder reads a body by its form. The call is the result.
type decoder struct {
	scanner
	call
	limits     limits
	rawObjects map[int][]byte // documents that are objects, by index, in the body
	failure    *failure       // set by refuse
	// teiFailure is the refusal of a value that pydantic accepts and text-embeddings-inference doesn't. It applies once
	// the body is known to be in the latter's dialect.
	teiFailure *failure
}

// decode reads a body. It is strict about JSON (no name twice, only valid UTF-8, no lone surrogates) and lenient about
// the contents: unknown fields are skipped, and null stands for a field's default.
func decode(body []byte, f form, l limits) (*call, *failure) {
	d := &decoder{scanner: scanner{text: body}, limits: l}
	ok := d.body(f)
	switch {
	case d.failure != nil:
		return nil, d.failure
	case d.tooManyNames:
		return nil, failf(kindValidation, "an object, with those round it, has more than %d names, which is the limit", maxNames)
	case !ok:
		return nil, syntaxFailure(body)
	case d.documents.entries > d.limits.texts:
		return nil, tooMany(d.documents.name, d.documents.entries, d.limits.texts)
	case d.queries.entries > d.limits.texts:
		return nil, tooMany(d.queries.name, d.queries.entries, d.limits.texts)
	}
	if d.teiFailure != nil && d.documents.ofTEI() {
		return nil, d.teiFailure
	}
	switch {
	case d.noTruncation: // without a cut its direction does not matter
		d.options.Truncation = engine.TruncateNever
	case d.left:
		d.options.Truncation = engine.TruncateLeft
	}
	if !d.fillObjects() {
		return nil, d.failure
	}
	return &d.call, nil
}

func tooMany(name string, entries, limit int) *failure {
	return failf(kindTooMany, "`%s` has %d entries, the limit is %d", name, entries, limit)
}

// body reads the whole text: one object with the fields of f.
func (d *decoder) body(f form) bool {
	if d.next() != '{' {
		value, ok := d.describe()
		return ok && d.refuse("the body is %s, want an object", value)
	}
	var (
		seen   uint64 // bit i: field i of f
		others names
	)
	ok := d.object(1, func(name []byte) bool {
		for i := range f {
			if f[i].name == string(name) {
				if seen>>i&1 != 0 {
					return false
				}
				seen |= 1 << i
				d.next()
				return f[i].read(d, f[i].name)
			}
		}
		if !d.addName(&others, name) {
			return false
		}
		_, ok := d.skip(1)
		return ok
	})
	return ok && d.next() == 0 && d.at == len(d.text)
}

// refuse sets the failure and returns false, for a reader to return.
func (d *decoder) refuse(format string, args ...any) bool {
	d.failure = failf(kindValidation, format, args...)
	return false
}

// wrong refuses the next value, unless it isn't even JSON.
func (d *decoder) wrong(name, want string) bool {
	value, ok := d.describe()
	return ok && d.refuse("`%s` is %s, want %s", name, value, want)
}

// describe describes the next value for a message: an object or array by its kind, others by their text, shortened.
func (d *decoder) describe() (string, bool) {
	switch d.next() {
	case '{':
		return "an object", true
	case '[':
		return "an array", true
	case '"':
		value, _, ok := d.string()
		return quote(value), ok
	}
	raw, ok := d.skip(0)
	if ok && strings.IndexByte("-0123456789", raw[0]) >= 0 {
		return "the number " + clip(string(raw)), true
	}
	return string(raw), ok // null, true, false
}

// readText reads a string that is a text, of at most limit characters. index is the entry of name that it is; below 0: it
// is no entry.
func (d *decoder) readText(name string, index, limit int) (string, bool) {
	value, characters, ok := d.string()
	if !ok {
		return "", false
	}
	if characters > limit {
		return "", d.refuse("`%s` has %d characters, the limit is %d", entry(name, index), characters, limit)
	}
	d.characters += characters
	return value, true
}

// entry names an entry of a list.
func entry(name string, index int) string {
	if index < 0 {
		return name
	}
	return fmt.Sprintf("%s[%d]", name, index)
}

// syntaxFailure returns the refusal of a body that is not JSON. A duplicate name is grammatical, so it is not malformed.
func syntaxFailure(body []byte) *failure {
	d := jsontext.NewDecoder(bytes.NewBuffer(body)) // reads in place
	err := d.SkipValue()
	if err == nil {
		if _, err = d.ReadToken(); err == nil {
			return failf(kindMalformed, "the body goes on after its JSON object")
		}
	} else if errors.Is(err, io.EOF) { // before any value: a cut-off one is io.ErrUnexpectedEOF
		return failf(kindMalformed, "the body is empty, want a JSON object")
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) && errors.Is(err, jsontext.ErrDuplicateName) {
		return failf(kindValidation, "the JSON object has %s more than once", quote(syntax.JSONPointer.LastToken()))
	}
	if errors.Is(err, io.EOF) {
		return internalFailure(fmt.Errorf("BUG: a body of %d bytes is JSON and was not read as such", len(body)))
	}
	return failf(kindMalformed, "malformed JSON: %s", strings.TrimPrefix(err.Error(), "jsontext: "))
}

// integer reads a whole number from low to 2^31-1, as pydantic does. Any other value stays unread, for wrong to
// describe it.
func (d *decoder) integer(low int64) (int64, bool) {
	at := d.at
	if value, ok := lax(d, laxInteger); ok && low <= value && value <= math.MaxInt32 {
		return value, true
	}
	d.at = at
	return 0, false
}
