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

// call is one request, whatever dialect it came in. It owns its texts: they stay valid when the body's bytes are used again.
type call struct {
	model      string // "": none named
	query      string
	hasQuery   bool
	list       list     // documents, or texts to tokenise
	first      list     // of pairs: one, or as many as list has
	single     []bool   // by index: the text of list is no pair's but alone; shorter than list where the rest are pairs
	rankFields []string // of documents that are objects

	topN            int  // 0: all
	topNone         bool // top_n is there and is 0 or less
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

// scored is how many pairs the call asks scores of.
func (c *call) scored() int { return max(len(c.list.texts), len(c.first.texts)) }

// list is a field that has texts.
type list struct {
	name  string // of the field, for messages; "" while none was there
	texts []string
	alone bool // one string, and not an array
	// objects are the entries that are objects, as they are written, by index; nil where all are strings.
	objects map[int]string
	// entries counts those past the limit, too.
	entries int
}

// ofTEI tells whether a body with the list is in the dialect of text-embeddings-inference.
func (l *list) ofTEI() bool { return l.name == "texts" || l.name == "inputs" }

// field is one field of a body and the way to read its value, which is next. A reader returns false where the value is
// not JSON or, having called refuse, not what the field takes.
type field struct {
	name string
	read func(d *decoder, name string) bool
}

// form is all that a body may have; other fields are skipped. At most 64.
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
	limits  limits
	written map[int][]byte // documents that are objects, by index, in the body
	failure *failure       // set by refuse
	// lenient refuses a value that pydantic takes and text-embeddings-inference doesn't, once it is known that the body is
	// of the latter's.
	lenient *failure
}

// decode reads a body. It is strict about JSON (no name twice, only valid UTF-8, no lone surrogates) and lenient about
// what it holds: unknown fields are skipped, and null stands for a field's default.
func decode(body []byte, f form, l limits) (*call, *failure) {
	d := &decoder{scanner: scanner{text: body}, limits: l}
	ok := d.body(f)
	switch {
	case d.failure != nil:
		return nil, d.failure
	case d.crowded:
		return nil, failf(kindValidation, "an object, with those round it, has more than %d names, which is the limit", maxNames)
	case !ok:
		return nil, syntaxFailure(body)
	case d.list.entries > d.limits.texts:
		return nil, tooMany(d.list.name, d.list.entries, d.limits.texts)
	case d.first.entries > d.limits.texts:
		return nil, tooMany(d.first.name, d.first.entries, d.limits.texts)
	}
	if d.lenient != nil && d.list.ofTEI() {
		return nil, d.lenient
	}
	switch {
	case d.noTruncation: // whatever the direction: it says how to cut and not whether
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
		if !d.meet(&others, name) {
			return false
		}
		_, ok := d.skip(1)
		return ok
	})
	return ok && d.next() == 0 && d.at == len(d.text)
}

// refuse ends the reading. It returns false, for a reader to return.
func (d *decoder) refuse(format string, args ...any) bool {
	d.failure = failf(kindValidation, format, args...)
	return false
}

// wrong refuses the value that is next, unless it isn't even JSON.
func (d *decoder) wrong(name, want string) bool {
	value, ok := d.describe()
	return ok && d.refuse("`%s` is %s, want %s", name, value, want)
}

// describe names the value that is next in a message: what it is, and what it says where that is short.
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

// readText reads a string that is a text, of at most limit characters. index says which entry of name it is; below 0: it
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

// syntaxFailure says what is wrong with a body that is not JSON. A name twice is grammatical, so it is not malformed.
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

// integer reads a whole number from low to 2^31-1, as pydantic does. Whatever else is next stays next, for wrong to name it.
func (d *decoder) integer(low int64) (int64, bool) {
	at := d.at
	if value, ok := lax(d, laxInteger); ok && low <= value && value <= math.MaxInt32 {
		return value, true
	}
	d.at = at
	return 0, false
}
