package httpapi

import (
	"math/bits"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON from left to right. It takes exactly what go-json-experiment takes: RFC 8259 with valid UTF-8, no
// lone surrogates, no name twice in an object, at most maxDepth containers in one another. A fuzz test holds it to that.
//
// Methods that return ok return false where the text is not JSON. Which mistake it was is for jsontext to say, which
// then reads the body again: a refusal may take its time.
type scanner struct {
	text string // the body; what was read out of it are parts of it, unless they had escapes
	at   int
	// unescaped holds the strings that had escapes. It gets its whole size at the first of them and never grows, so
	// that parts of it stay where they are: no escape is shorter than what it stands for.
	unescaped strings.Builder
}

// maxDepth is jsontext's.
const maxDepth = 10000

// next returns the first byte that is not white space and stays before it; 0 at the end of the text.
func (s *scanner) next() byte {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; c {
		case ' ', '\n', '\r', '\t':
		default:
			return c
		}
	}
	return 0
}

// take steps over c if it is next.
func (s *scanner) take(c byte) bool {
	if s.next() != c || s.at == len(s.text) {
		return false
	}
	s.at++
	return true
}

// literal steps over a word such as null.
func (s *scanner) literal(word string) bool {
	if !strings.HasPrefix(s.text[s.at:], word) {
		return false
	}
	s.at += len(word)
	return true
}

const (
	each = 0x0101010101010101 // a byte of 1 in every place; times c it is c in every place
	high = 0x8080808080808080
)

// plain returns how many of the first bytes of t are printable ASCII other than " and \, eight at a time. It may stop
// early, less than eight bytes before the end of t.
func plain(t string) int {
	i := 0
	for ; i+8 <= len(t); i += 8 {
		w := t[i : i+8]
		x := uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 |
			uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
		quote, backslash := x^each*'"', x^each*'\\'
		// The high bit of a byte says that it stops; one above the lowest that does may be set for nothing.
		if stop := (x | (x - each*' ') | (quote-each)&^quote | (backslash-each)&^backslash) & high; stop != 0 {
			return i + bits.TrailingZeros64(stop)/8
		}
	}
	return i
}

// string reads the string that is next, and counts its characters.
func (s *scanner) string() (value string, characters int, ok bool) {
	s.at++ // the quote
	begin, beyondASCII := s.at, 0
	for {
		s.at += plain(s.text[s.at:])
		if s.at >= len(s.text) {
			return "", 0, false
		}
		switch c := s.text[s.at]; {
		case c == '"':
			value = s.text[begin:s.at]
			s.at++
			return value, len(value) - beyondASCII, true
		case c == '\\':
			return s.escaped(begin)
		case c < ' ':
			return "", 0, false
		case c < utf8.RuneSelf:
			s.at++
		default:
			r, size := utf8.DecodeRuneInString(s.text[s.at:])
			if r == utf8.RuneError && size == 1 {
				return "", 0, false
			}
			s.at += size
			beyondASCII += size - 1
		}
	}
}

// escaped reads on in a string that began at begin, from its first backslash.
func (s *scanner) escaped(begin int) (value string, characters int, ok bool) {
	if s.unescaped.Cap() == 0 {
		s.unescaped.Grow(len(s.text) - begin)
	}
	from, run := s.unescaped.Len(), begin // run is the first byte that was not copied yet
	for {
		s.at += plain(s.text[s.at:])
		if s.at >= len(s.text) {
			return "", 0, false
		}
		switch c := s.text[s.at]; {
		case c == '"':
			s.unescaped.WriteString(s.text[run:s.at])
			s.at++
			value = s.unescaped.String()[from:]
			return value, utf8.RuneCountInString(value), true
		case c == '\\':
			s.unescaped.WriteString(s.text[run:s.at])
			r, ok := s.escape()
			if !ok {
				return "", 0, false
			}
			s.unescaped.WriteRune(r)
			run = s.at
		case c < ' ':
			return "", 0, false
		case c < utf8.RuneSelf:
			s.at++
		default:
			r, size := utf8.DecodeRuneInString(s.text[s.at:])
			if r == utf8.RuneError && size == 1 {
				return "", 0, false
			}
			s.at += size
		}
	}
}

// escape reads the escape that is next: both of them where it is half of a surrogate pair.
func (s *scanner) escape() (rune, bool) {
	if s.at+1 >= len(s.text) {
		return 0, false
	}
	c := s.text[s.at+1]
	if c == 'u' {
		first, ok := s.hex()
		if !ok || !utf16.IsSurrogate(first) {
			return first, ok
		}
		second, ok := s.hex()
		r := utf16.DecodeRune(first, second)
		return r, ok && r != utf8.RuneError
	}
	s.at += 2
	switch c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	}
	return 0, false
}

// hex reads \uXXXX.
func (s *scanner) hex() (rune, bool) {
	const length = len(`\uXXXX`)
	if len(s.text)-s.at < length || s.text[s.at] != '\\' || s.text[s.at+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s.text[s.at+2 : s.at+length]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	s.at += length
	return r, true
}

// number reads the number that is next and returns it as it is written.
func (s *scanner) number() (string, bool) {
	begin := s.at
	s.step("-")
	if !s.step("0") && !s.digits() {
		return "", false
	}
	if s.step(".") && !s.digits() {
		return "", false
	}
	if s.step("eE") {
		s.step("+-")
		if !s.digits() {
			return "", false
		}
	}
	return s.text[begin:s.at], true
}

// step steps over one byte, if it is one of these.
func (s *scanner) step(these string) bool {
	if s.at < len(s.text) && strings.IndexByte(these, s.text[s.at]) >= 0 {
		s.at++
		return true
	}
	return false
}

func (s *scanner) digits() bool {
	begin := s.at
	for s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9' {
		s.at++
	}
	return s.at > begin
}
