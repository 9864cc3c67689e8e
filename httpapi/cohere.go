package httpapi

import (
	"strings"
	"unicode/utf8"
)

// Cohere, versions 1 and 2: `documents` are strings or, in version 1, objects, of which `rank_fields` says what counts.

var cohereFields = form{
	{"documents", readDocuments},
	{"rank_fields", readRankFields},
	count("top_n", func(c *call) *int { return &c.topN }),
	flag("return_documents", true, func(c *call) *bool { return &c.returnTexts }),
	count("max_tokens_per_doc", func(c *call) *int { return &c.options.MaxDocumentTokens }),
	priorityField,
}

const wantDocuments = "an array of strings or objects"

// readDocuments reads an array of strings and objects. Objects are kept as they are written: which of their fields
// count may come later.
func readDocuments(d *decoder, name string) bool {
	l := &d.list
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
				l.objects = map[int]string{}
			}
			var raw []byte
			raw, ok = d.skip(2)
			l.objects[index] = d.keep(raw)
		default:
			return d.wrong(entry(name, index), "a string or an object")
		}
		l.texts = append(l.texts, text)
		return ok
	})
}

func readRankFields(d *decoder, name string) bool {
	if d.literal("null") {
		return true
	}
	if d.next() != '[' {
		return d.wrong(name, "an array of strings")
	}
	return d.array(2, func() bool {
		if d.next() != '"' {
			return d.wrong(entry(name, len(d.rankFields)), "a string")
		}
		value, _, ok := d.string()
		d.rankFields = append(d.rankFields, value)
		return ok
	})
}

// fillObjects makes texts of the documents that are objects, once it is known which fields count: their values, in
// the order of rank_fields, each on a line of its own.
func (d *decoder) fillObjects() bool {
	fields := d.rankFields
	if len(fields) == 0 {
		fields = []string{"text"}
	}
	for index := range d.list.texts {
		object, is := d.list.objects[index]
		if !is {
			continue
		}
		values, ok := d.fieldValues(object, fields, index)
		if !ok {
			return false
		}
		if len(values) == 0 {
			return d.refuse("`%s` has none of %s", entry(d.list.name, index), quoteNames(fields))
		}
		text := strings.Join(values, "\n")
		characters := utf8.RuneCountInString(text)
		if characters > d.limits.textCharacters {
			return d.refuse("`%s` has %d characters, the limit is %d",
				entry(d.list.name, index), characters, d.limits.textCharacters)
		}
		d.list.texts[index] = text
		d.characters += characters
	}
	return true
}

// fieldValues returns the values of fields of an object, which is known to be valid. Numbers and truth values are as
// they are written, null is as if it were not there.
func (d *decoder) fieldValues(object string, fields []string, index int) ([]string, bool) {
	found := make(map[string]string, len(fields))
	s := &scanner{text: []byte(object)}
	ok := s.object(1, func(name []byte) bool {
		var value string
		switch s.next() {
		case '"':
			value, _, _ = s.string()
		case 'n':
			return s.literal("null")
		case '{', '[':
			s.skip(1)
			for _, field := range fields {
				if field == string(name) {
					return d.refuse("`%s.%s` is an object or an array, want a string, a number, true or false",
						entry(d.list.name, index), clip(field))
				}
			}
			return true
		default:
			raw, _ := s.skip(1)
			value = string(raw)
		}
		found[string(name)] = value
		return true
	})
	var values []string
	for _, field := range fields {
		if value, is := found[field]; is {
			values = append(values, value)
		}
	}
	return values, ok
}
