package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A message is one message that an Objective-C file sends, with its place.
type message struct {
	file     string
	line     int
	selector string
}

// sentMessages returns the messages of all our Objective-C files.
func sentMessages(packages []*goPackage) ([]message, error) {
	var sent []message
	seen := map[string]bool{}
	for _, p := range packages {
		for _, name := range p.MFiles {
			path := filepath.Join(p.Dir, name)
			if !p.ours() || seen[path] {
				continue
			}
			seen[path] = true
			source, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			if short, err := filepath.Rel(p.Module.Dir, path); err == nil {
				path = short
			}
			sent = append(sent, messagesIn(path, string(source))...)
		}
	}
	return sent, nil
}

// messagesIn returns the messages that source sends in brackets, in order. Properties read with a dot send messages
// too; checkLink, which asks the compiler, finds them.
func messagesIn(file, source string) []message {
	var found []message
	tokens := tokenize(source)
	for i, t := range tokens {
		var selector string
		switch {
		case t.text == "[":
			selector = selectorOf(tokens[i+1 : max(closing(tokens, i), i+1)])
		case t.text == "@selector" && i+1 < len(tokens):
			for _, part := range tokens[i+2 : max(closing(tokens, i+1), i+2)] {
				selector += part.text
			}
		}
		if selector != "" {
			found = append(found, message{file, t.line, selector})
		}
	}
	return found
}

// A lexeme is a word, a literal or one character of punctuation.
type lexeme struct {
	text string
	line int
}

func (l lexeme) isWord() bool { return wordPattern.MatchString(l.text) }

var (
	wordPattern = regexp.MustCompile(`^[A-Za-z_]\w*$`)
	// In order: skipped text (comments, lines of the preprocessor), then literals, words and the rest.
	lexemePattern = regexp.MustCompile(`//[^\n]*|(?s:/\*.*?\*/)|(?m:^[ \t]*#(?:\\\n|[^\n])*)` +
		`|@?"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|@[A-Za-z]\w*|[A-Za-z_]\w*|[0-9][\w.]*|->|\S`)
)

func tokenize(source string) []lexeme {
	var tokens []lexeme
	line, from := 1, 0
	for _, at := range lexemePattern.FindAllStringIndex(source, -1) {
		line += strings.Count(source[from:at[0]], "\n")
		from = at[0]
		text := source[at[0]:at[1]]
		if !strings.HasPrefix(text, "//") && !strings.HasPrefix(text, "/*") && !strings.HasPrefix(strings.TrimSpace(text), "#") {
			tokens = append(tokens, lexeme{text, line})
		}
	}
	return tokens
}

// closing returns the index of the bracket that closes the one at open, or -1.
func closing(tokens []lexeme, open int) int {
	depth := 0
	for i := open; i < len(tokens); i++ {
		switch tokens[i].text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// selectorOf returns the selector of the text within brackets, or "" if that is an index. In a message a word, alone or
// with a colon, follows the receiver.
func selectorOf(inside []lexeme) string {
	i := afterReceiver(inside)
	if i < 0 || i >= len(inside) || !inside[i].isWord() {
		return ""
	}
	if i+1 == len(inside) {
		return inside[i].text
	}
	var selector strings.Builder
	for i >= 0 && i+1 < len(inside) {
		if inside[i].isWord() { // a part may lack its name, though seldom on purpose
			selector.WriteString(inside[i].text)
			i++
		}
		if inside[i].text != ":" {
			return ""
		}
		selector.WriteString(":")
		i = nextPart(inside, i+1)
	}
	return selector.String()
}

// afterReceiver returns the index after a message's receiver, or -1.
func afterReceiver(inside []lexeme) int {
	i := 0
	for i < len(inside) && inside[i].text == "(" { // a cast, or the receiver itself in parentheses
		i = closing(inside, i) + 1
		if i == 0 {
			return -1
		}
		if i < len(inside) && inside[i].isWord() && (i+1 == len(inside) || inside[i+1].text == ":") {
			return i
		}
	}
	switch {
	case i >= len(inside):
		return -1
	case inside[i].text == "[":
		i = closing(inside, i) + 1
	case inside[i].isWord() || strings.HasPrefix(inside[i].text, `@"`):
		i++
	default:
		return -1
	}
	for i > 0 && i < len(inside) {
		switch inside[i].text {
		case "(", "[":
			if i = closing(inside, i) + 1; i == 0 {
				return -1
			}
		case ".", "->":
			i += 2
		default:
			return i
		}
	}
	return i
}

// nextPart returns the index of the selector's part after the argument that begins at i, or -1.
func nextPart(inside []lexeme, i int) int {
	questions := 0 // of conditional expressions that wait for their colon
	for first := i; i < len(inside); i++ {
		switch text := inside[i].text; {
		case text == "(" || text == "[" || text == "{":
			if i = closing(inside, i); i < 0 {
				return -1
			}
		case text == "?":
			questions++
		case text == ":" && questions > 0:
			questions--
		case text == ":":
			return i
		case questions == 0 && i > first && inside[i].isWord() && i+1 < len(inside) && inside[i+1].text == ":":
			return i
		}
	}
	return -1
}

// compareSelectors returns the problems: selectors that are sent and not recorded, and, so that the record stays
// current, selectors that are recorded and not sent.
func compareSelectors(sent []message, recorded []record) []string {
	var problems []string
	for _, m := range sent {
		if !slices.ContainsFunc(recorded, func(r record) bool { return r.selector == m.selector }) {
			problems = append(problems, fmt.Sprintf("%s:%d:1: selector %q is not among Apple's in %s",
				m.file, m.line, m.selector, recordFile))
		}
	}
	for _, r := range recorded {
		if !slices.ContainsFunc(sent, func(m message) bool { return r.selector == m.selector }) {
			problems = append(problems, fmt.Sprintf("%s:%d:1: nothing sends %q any more", recordFile, r.line, r.selector))
		}
	}
	return problems
}
