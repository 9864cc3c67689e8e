package httpapi

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Cohere, versions 1 and 2: `documents` are strings or, in version 1, objects, from which `rank_fields` selects fields.

var cohereFields = form{
	{"documents", readDocuments},
	{"rank_fields", readRankFields},
	{"top_n", readTopN},
	laxFlag("return_documents", true, func(c *call) *bool { return &c.returnTexts }),
	count("max_tokens_per_doc", func(c *call) *int { return &c.options.MaxDocumentTokens }),
	priorityField,
}

// readTopN reads the number of results to return. 0 and less mean all, as in vLLM; Infinity refuses them.
func readTopN(d *decoder, name string) bool {
	if d.literal("null") {
		return true
	}
	value, ok := d.integer(math.MinInt32)
	if !ok {
		return d.wrong(name, "a whole number from -2147483648 to 2147483647")
	}
	d.topN, d.topNNotPositive = int(max(0, value)), value <= 0
	return true
}

const wantDocuments = "an array of strings or objects"

// readDocuments reads an array of strings and objects. Objects are kept as they are written: rank_fields may come later
// in the body.
func readDocuments(d *decoder, name string) bool {
	l := &d.documents
	if !d.openList(l, name) {
		return false
	}
	if d.next() != '[' {
		return d.wrong(name, wantDocuments)
	}
	l.texts = make([]string, 0, fewTexts)
	return d.array(2, func() (ok bool) {
		index := l.entries
		if l.entries++; index >= d.limits.texts {
			_, ok := d.skip(2)
			return ok
		}
		var text string
		switch d.next() {
		case '"':
			text, ok = d.readText(name, index, d.limits.textCharacters)
		case '{':
			if l.objects == nil {
				l.objects, d.rawObjects = map[int]string{}, map[int][]byte{}
			}
			d.rawObjects[index], ok = d.skip(2)
			l.objects[index] = d.keep(d.rawObjects[index])
		default:
			return d.wrong(entry(name, index), "a string or an object")
		}
		l.texts = append(l.texts, text)
		return ok
	})
}

// maxRankFields is the most names that rank_fields may have, more than documents need.
const maxRankFields = 64

func readRankFields(d *decoder, name string) bool {
	if d.literal("null") {
		return true
	}
	if d.next() != '[' {
		return d.wrong(name, "an array of strings")
	}
	return d.array(2, func() bool {
		if len(d.rankFields) == maxRankFields {
			return d.refuse("`%s` has more than %d entries, which is the limit", name, maxRankFields)
		}
		if d.next() != '"' {
			return d.wrong(entry(name, len(d.rankFields)), "a string")
		}
		value, _, ok := d.string()
		if ok && slices.Contains(d.rankFields, value) {
			return d.refuse("`%s` is %s, which is there already", entry(name, len(d.rankFields)), quote(value))
		}
		d.rankFields = append(d.rankFields, value)
		return ok
	})
}

// fillObjects builds the texts of the documents that are objects, once rank_fields is known: the values of these fields, in
// the order of rank_fields, each on a line of its own.
func (d *decoder) fillObjects() bool {
	if d.documents.objects == nil {
		return true
	}
	fields := d.rankFields
	if len(fields) == 0 {
		fields = []string{"text"}
	}
	place := make(map[string]int, len(fields)) // in fields
	for i, name := range fields {
		place[name] = i
	}
	values := make([]*string, len(fields))
	for index := range d.documents.texts {
		object, is := d.rawObjects[index]
		if !is {
			continue
		}
		clear(values)
		if !d.fieldValues(object, place, values, index) {
			return false
		}
		text, ok := d.joinValues(values, index)
		if !ok {
			return false
		}
		if text == nil {
			return d.refuse("`%s` has none of %s", entry(d.documents.name, index), quoteNames(fields))
		}
		d.documents.texts[index] = *text
	}
	return true
}

// joinValues joins the values that are not nil; text is nil if there are none.
func (d *decoder) joinValues(values []*string, index int) (text *string, ok bool) {
	var lines []string
	characters := -1
	for _, value := range values {
		if value != nil {
			lines = append(lines, *value)
			characters += 1 + utf8.RuneCountInString(*value)
		}
	}
	switch {
	case lines == nil:
		return nil, true
	case characters > d.limits.textCharacters:
		return nil, d.refuse("`%s` has %d characters, the limit is %d", entry(d.documents.name, index), characters, d.limits.textCharacters)
	}
	d.characters += characters
	return new(strings.Join(lines, "\n")), true
}

// fieldValues sets values to an object's fields, each at the index in place. The object is known to be valid. Numbers
// and truth values stay as they are written; null counts as absent.
func (d *decoder) fieldValues(object []byte, place map[string]int, values []*string, index int) bool {
	s := &scanner{text: object}
	return s.object(1, func(name []byte) bool {
		at, counts := place[string(name)]
		c := s.next()
		switch {
		case !counts || c == 'n':
			_, ok := s.skip(1)
			return ok
		case c == '{' || c == '[':
			return d.refuse("`%s.%s` is an object or an array, want a string, a number, true or false",
				entry(d.documents.name, index), clip(string(name)))
		case c == '"':
			value, _, ok := s.string()
			values[at] = &value
			return ok
		}
		raw, ok := s.skip(1)
		values[at] = new(string(raw))
		return ok
	})
}

// Jina: Cohere's body with other names for the truncation of long documents.

var jinaFields = form{
	laxFlag("truncation", false, func(c *call) *bool { return &c.noTruncation }),
	count("max_doc_length", func(c *call) *int { return &c.options.MaxDocumentTokens }),
}

// echoObject appends a document as Cohere and Jina have it: as an object, even if it came as a string.
func echoObject(w *writer, c *call, index int) {
	if object, is := c.documents.objects[index]; is {
		w.raw(`,"document":`).raw(object)
		return
	}
	w.raw(`,"document":{"text":`).string(c.documents.texts[index]).raw("}")
}
