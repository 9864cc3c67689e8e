package httpapi

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// scanner reads JSON from left to right. It accepts exactly the JSON that go-json-experiment accepts: RFC 8259 with
// valid UTF-8, no lone surrogates, no name twice in an object, at most maxDepth containers in one another. A fuzz test
// compares them.
//
// Methods that return ok return false if the text is not JSON. jsontext then reads the body again to name the mistake:
// a refusal may take its time.
type scanner struct {
	text []byte // the body, which belongs to the caller
	at   int
	// arena has the kept strings, one behind the other. It gets its whole size with the first of them and never grows,
	// so its parts stay where they are. The size is enough: no string is longer than it is written.
	arena        strings.Builder
	namesKept    int  // names that are kept to find duplicates
	tooManyNames bool // there were too many names, which ended the reading
}

// maxDepth is jsontext's limit.
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
	if rest := s.text[s.at:]; len(rest) < len(word) || string(rest[:len(word)]) != word {
		return false
	}
	s.at += len(word)
	return true
}

// keep puts a string into the arena.
func (s *scanner) keep(raw []byte) string {
	if s.arena.Cap() == 0 {
		s.arena.Grow(len(s.text))
	}
	from := s.arena.Len()
	s.arena.Write(raw)
	return s.arena.String()[from:]
}

const (
	ones     = 0x0101010101010101 // a byte of 1 in every place; times c it is c in every place
	highBits = ones << 7
)

// printable counts the characters of t. ok is false if t has a control character, or is not UTF-8. It reads eight bytes
// at a time: subtracting a space from a control character borrows, and so sets a high bit.
func printable(t []byte) (characters int, ok bool) {
	i, found := 0, uint64(0)
	for ; i+32 <= len(t); i += 32 {
		a, b := binary.LittleEndian.Uint64(t[i:]), binary.LittleEndian.Uint64(t[i+8:])
		c, d := binary.LittleEndian.Uint64(t[i+16:]), binary.LittleEndian.Uint64(t[i+24:])
		found |= a | (a - ones*' ') | b | (b - ones*' ') | c | (c - ones*' ') | d | (d - ones*' ')
	}
	for _, c := range t[i:] {
		found |= uint64(c) | (uint64(c) - ' ')
	}
	if found&highBits == 0 {
		return len(t), true
	}
	return beyondASCII(t)
}

// beyondASCII is printable for texts that may have characters beyond ASCII.
func beyondASCII(t []byte) (characters int, ok bool) {
	i, controls, continued := 0, uint64(0), 0
	for ; i+8 <= len(t); i += 8 {
		x := binary.LittleEndian.Uint64(t[i:])
		controls |= (x - ones*' ') &^ x
		continued += bits.OnesCount64(x & highBits &^ (x << 1)) // 10xxxxxx
	}
	for _, c := range t[i:] {
		if c < ' ' {
			return 0, false
		}
		if !utf8.RuneStart(c) {
			continued++
		}
	}
	return len(t) - continued, controls&highBits == 0 && utf8.Valid(t)
}

// plainBytes steps over bytes that stand for themselves, up to a quote or a backslash, and counts their characters.
// quote is the position of the next quote, if it is not behind already: finding it once and not after every escape
// keeps this linear.
func (s *scanner) plainBytes(quote *int) (characters int, ok bool) {
	if *quote < s.at {
		i := bytes.IndexByte(s.text[s.at:], '"')
		if i < 0 {
			return 0, false
		}
		*quote = s.at + i
	}
	raw := s.text[s.at:*quote]
	if i := bytes.IndexByte(raw, '\\'); i >= 0 {
		raw = raw[:i]
	}
	s.at += len(raw)
	return printable(raw)
}

// string reads the next string, keeps it, and counts its characters.
func (s *scanner) string() (value string, characters int, ok bool) {
	s.at++ // the quote
	begin, quote := s.at, -1
	characters, ok = s.plainBytes(&quote)
	if !ok {
		return "", 0, false
	}
	if s.text[s.at] == '"' {
		s.at++
		return s.keep(s.text[begin : s.at-1]), characters, true
	}
	s.keep(nil) // gives the arena its size
	from := s.arena.Len()
	for s.text[s.at] == '\\' {
		s.arena.Write(s.text[begin:s.at])
		r, ok := s.escape()
		if !ok {
			return "", 0, false
		}
		if r < utf8.RuneSelf {
			s.arena.WriteByte(byte(r))
		} else {
			s.arena.WriteRune(r)
		}
		begin = s.at
		n, ok := s.plainBytes(&quote)
		if !ok {
			return "", 0, false
		}
		characters += 1 + n
	}
	s.arena.Write(s.text[begin:s.at])
	s.at++
	return s.arena.String()[from:], characters, true
}

// name reads the next string. It returns a part of the body, without a copy, if there are no escapes.
func (s *scanner) name() (name []byte, ok bool) {
	begin := s.at
	escapes, ok := s.skipString()
	if !ok {
		return nil, false
	}
	if !escapes {
		return s.text[begin+1 : s.at-1], true
	}
	name, err := jsontext.AppendUnquote(nil, s.text[begin:s.at])
	return name, err == nil
}

// skipString steps over the next string.
func (s *scanner) skipString() (escapes, ok bool) {
	s.at++
	for quote := -1; ; {
		if _, ok = s.plainBytes(&quote); !ok {
			return escapes, false
		}
		if s.text[s.at] == '"' {
			s.at++
			return escapes, true
		}
		escapes = true
		if _, ok = s.escape(); !ok {
			return escapes, false
		}
	}
}

// simpleEscapes maps the letter of an escape to its character; 0: none.
var simpleEscapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads the next escape, or both escapes of a surrogate pair.
func (s *scanner) escape() (rune, bool) {
	if s.at+1 >= len(s.text) {
		return 0, false
	}
	if c := simpleEscapes[s.text[s.at+1]]; c != 0 {
		s.at += 2
		return rune(c), true
	}
	first, ok := s.hex()
	if !ok || !utf16.IsSurrogate(first) {
		return first, ok
	}
	second, ok := s.hex()
	r := utf16.DecodeRune(first, second)
	return r, ok && r != utf8.RuneError
}

// hex reads \uXXXX.
func (s *scanner) hex() (rune, bool) {
	const length = len(`\uXXXX`)
	if len(s.text)-s.at < length || s.text[s.at] != '\\' || s.text[s.at+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range s.text[s.at+2 : s.at+length] {
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

// number steps over the next number.
func (s *scanner) number() bool {
	s.step("-")
	if !s.step("0") && !s.digits() {
		return false
	}
	if s.step(".") && !s.digits() {
		return false
	}
	if s.step("eE") {
		s.step("+-")
		if !s.digits() {
			return false
		}
	}
	return true
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
