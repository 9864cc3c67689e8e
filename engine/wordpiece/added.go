package wordpiece

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// matcher finds added tokens in a text: of those that begin first, the longest.
type matcher struct {
	patterns [256][]pattern // by their first bytes, the longest first
	firsts   string         // those bytes
}

// pattern is an added token as a matcher looks for it.
type pattern struct {
	text           string
	id             int32
	lstrip, rstrip bool
	ignored        bool // it is passed over
}

func (m *matcher) none() bool { return m.firsts == "" }

// add adds a pattern. Of two with the same text the first counts.
func (m *matcher) add(p pattern) {
	of := &m.patterns[p.text[0]]
	if *of == nil {
		m.firsts += p.text[:1]
	}
	i, found := slices.BinarySearchFunc(*of, p, func(a, b pattern) int {
		if len(a.text) != len(b.text) {
			return len(b.text) - len(a.text)
		}
		return strings.Compare(a.text, b.text)
	})
	if !found {
		*of = slices.Insert(*of, i, p)
	}
}

// find returns the first token at or after byte from, and where it begins; nil: there is none.
func (m *matcher) find(text string, from int) (int, *pattern) {
	for i := from; i < len(text); i++ {
		if len(m.firsts) == 1 {
			next := strings.IndexByte(text[i:], m.firsts[0])
			if next < 0 {
				break
			}
			i += next
		}
		of := m.patterns[text[i]]
		for j := range of {
			if strings.HasPrefix(text[i:], of[j].text) {
				return i, &of[j]
			}
		}
	}
	return 0, nil
}

// split calls f for the parts of a text in order: tokens, and what is between them, for which token is nil.
func (m *matcher) split(text string, f func(from, to int, token *pattern)) {
	done, next := 0, 0
	for !m.none() {
		from, token := m.find(text, next)
		if token == nil {
			break
		}
		to := from + len(token.text)
		next = to
		if token.ignored {
			continue
		}
		if token.lstrip {
			from = max(done, from-spacesAtEnd(text[:from]))
		}
		if token.rstrip {
			to += spacesAtStart(text[to:])
		}
		if done < from {
			f(done, from, nil)
		}
		f(from, to, token)
		done = to
	}
	if done < len(text) {
		f(done, len(text), nil)
	}
}

func spacesAtEnd(text string) int {
	n := 0
	for n < len(text) {
		r, size := utf8.DecodeLastRuneInString(text[:len(text)-n])
		if classes().of(r)&blank == 0 {
			break
		}
		n += size
	}
	return n
}

func spacesAtStart(text string) int {
	n := 0
	for n < len(text) {
		r, size := utf8.DecodeRuneInString(text[n:])
		if classes().of(r)&blank == 0 {
			break
		}
		n += size
	}
	return n
}
