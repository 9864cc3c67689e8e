package httpapi

import "strings"

// textsField makes a field that is an array of strings.
func textsField(name string) field {
	return field{name, func(d *decoder, name string) bool {
		return d.openList(&d.documents, name) && d.readTexts(&d.documents, "an array of strings")
	}}
}

// textOrTexts makes a field that is a string or an array of strings.
func textOrTexts(name string, of func(*call) *list) field {
	return field{name, func(d *decoder, name string) (ok bool) {
		l := of(&d.call)
		if !d.openList(l, name) {
			return false
		}
		if d.next() != '"' {
			return d.readTexts(l, "a string or an array of strings")
		}
		text, ok := d.readText(name, -1, d.limits.textCharacters)
		l.texts, l.entries, l.isString = append(l.texts, text), 1, true
		return ok
	}}
}

// openList notes the name of the field for l, and refuses a body that has it under two names.
func (d *decoder) openList(l *list, name string) bool {
	if l.name != "" {
		return d.refuse("`%s` and `%s` are both there, want one of them", l.name, name)
	}
	l.name = name
	return true
}

// fewTexts is the initial capacity for texts.
const fewTexts = 16

// readTexts reads an array of strings. Texts past the limit are counted and not kept.
func (d *decoder) readTexts(l *list, want string) bool {
	if d.next() != '[' {
		return d.wrong(l.name, want)
	}
	l.texts = make([]string, 0, fewTexts)
	return d.array(2, func() bool {
		index := l.entries
		if l.entries++; index >= d.limits.texts {
			_, ok := d.skip(2)
			return ok
		}
		if d.next() != '"' {
			return d.wrong(entry(l.name, index), "a string")
		}
		text, ok := d.readText(l.name, index, d.limits.textCharacters)
		l.texts = append(l.texts, text)
		return ok
	})
}

// need refuses a body without its list, or with an empty one.
func (l *list) need(name, want string) *failure {
	switch {
	case l.name == "":
		return failf(kindValidation, "`%s` is missing, want %s", name, want)
	case l.entries == 0:
		return failf(kindEmpty, "`%s` cannot be empty", l.name)
	}
	return nil
}

// quoteNames makes names fit for a message.
func quoteNames(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = "`" + clip(name) + "`"
	}
	return strings.Join(quoted, ", ")
}
