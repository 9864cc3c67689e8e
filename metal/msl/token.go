package msl

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
