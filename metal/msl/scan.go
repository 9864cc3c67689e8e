package msl

import (
	"sort"
	"strconv"
	"strings"
)

// tokenKind is as fine as the parser needs.
type tokenKind uint8

const (
	tokenName tokenKind = iota
	tokenNumber
	tokenString // character literals too
	tokenPunctuation
)

// token is one token; text is a slice of File.Text. Punctuation is one character, but for "::" and "->".
type token struct {
	kind tokenKind
	at   int
	text string
}

func (t token) end() int { return t.at + len(t.text) }

// marker is a line marker of the preprocessor: the line that begins at byte `at` is line `line` of file.
type marker struct {
	at   int
	file string
	line int
}

// Position returns where the byte at offset was before preprocessing.
func (f *File) Position(offset int) Position {
	i := sort.Search(len(f.lines), func(i int) bool { return f.lines[i].at > offset }) - 1
	if i < 0 {
		return Position{Line: 1 + strings.Count(f.Text[:offset], "\n")}
	}
	m := f.lines[i]
	return Position{File: m.file, Line: m.line + strings.Count(f.Text[m.at:offset], "\n")}
}

// scanner cuts preprocessed text into tokens: comments are gone, and a # begins a marker or a pragma.
type scanner struct {
	text   string
	at     int
	tokens []token
	lines  []marker
}

func (s *scanner) scan() {
	for s.at < len(s.text) {
		c := s.text[s.at]
		switch {
		case c == '#':
			s.directive()
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
			s.at++
		case isNameStart(c):
			s.token(tokenName, s.while(isNamePart))
		case isDigit(c) || c == '.' && s.at+1 < len(s.text) && isDigit(s.text[s.at+1]):
			s.token(tokenNumber, s.number())
		case c == '"' || c == '\'':
			s.token(tokenString, s.quoted(c))
		case strings.HasPrefix(s.text[s.at:], "::") || strings.HasPrefix(s.text[s.at:], "->"):
			s.token(tokenPunctuation, s.at+2)
		default:
			s.token(tokenPunctuation, s.at+1)
		}
	}
}

func (s *scanner) token(kind tokenKind, end int) {
	s.tokens = append(s.tokens, token{kind: kind, at: s.at, text: s.text[s.at:end]})
	s.at = end
}

// while returns the first byte from at on that isn't part.
func (s *scanner) while(part func(byte) bool) int {
	end := s.at
	for end < len(s.text) && part(s.text[end]) {
		end++
	}
	return end
}

// number returns the end of a preprocessing number: digits, letters, points, and signs after an exponent's letter.
func (s *scanner) number() int {
	end := s.at + 1
	for end < len(s.text) {
		c, before := s.text[end], s.text[end-1]|0x20
		exponent := (c == '+' || c == '-') && (before == 'e' || before == 'p')
		if !isNamePart(c) && c != '.' && !exponent {
			break
		}
		end++
	}
	return end
}

func (s *scanner) quoted(quote byte) int {
	end := s.at + 1
	for end < len(s.text) && s.text[end] != quote && s.text[end] != '\n' {
		if s.text[end] == '\\' {
			end++
		}
		end++
	}
	return min(end+1, len(s.text))
}

// directive skips a line that begins with #, and notes a marker: # 12 "file" 1 2.
func (s *scanner) directive() {
	end := strings.IndexByte(s.text[s.at:], '\n')
	if end < 0 {
		end = len(s.text) - s.at
	}
	line := strings.TrimPrefix(strings.TrimSpace(s.text[s.at+1:s.at+end]), "line ")
	s.at = min(s.at+end+1, len(s.text))
	number, rest, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		return
	}
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return
	}
	file, err := strconv.Unquote(quoted)
	if err != nil {
		return
	}
	s.lines = append(s.lines, marker{at: s.at, file: file, line: n})
}

func isNameStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
func isDigit(c byte) bool    { return c >= '0' && c <= '9' }
func isNamePart(c byte) bool { return isNameStart(c) || isDigit(c) }

// TokenKind is the kind of a token, as fine as Parse needs.
type TokenKind = tokenKind

// The kinds of token.
const (
	TokenName        = tokenName // keywords too
	TokenNumber      = tokenNumber
	TokenString      = tokenString      // character literals too
	TokenPunctuation = tokenPunctuation // one character, but for "::" and "->"
)

// Token is one token of File.Text, for callers that need more than Parse finds.
type Token struct {
	Kind TokenKind
	Text string
	Span Span
}

// Scan reads only the tokens and positions of text, the output of `clang -E`: for callers that need them where Parse
// fails.
func Scan(text string) *File {
	s := scanner{text: text}
	s.scan()
	return &File{Text: text, tokens: s.tokens, lines: s.lines}
}

// Tokens lists the tokens of f.
func (f *File) Tokens() []Token {
	list := make([]Token, len(f.tokens))
	for i, t := range f.tokens {
		list[i] = Token{Kind: t.kind, Text: t.text, Span: Span{t.at, t.end()}}
	}
	return list
}
