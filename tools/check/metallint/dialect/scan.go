package dialect

import "github.com/metalrank/metalrank/metal/msl"

// is says whether token i is the given text.
func (c *checker) is(i int, text string) bool {
	return i >= 0 && i < len(c.tokens) && c.tokens[i].Text == text && c.tokens[i].Kind != msl.TokenString
}

// isName says whether token i is a name or a keyword.
func (c *checker) isName(i int) bool {
	return i >= 0 && i < len(c.tokens) && c.tokens[i].Kind == msl.TokenName
}

// match returns the index of the bracket that closes the one at token i; -1: none does.
func (c *checker) match(i int) int {
	depth := 0
	for j := i; j < len(c.tokens); j++ {
		switch c.tokens[j].Text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			if depth--; depth == 0 {
				return j
			}
		}
	}
	return -1
}

// matchAngle returns the index of the > that closes the < at token i; -1 where it is a comparison instead: a
// template's arguments have no semicolon and no brace among them.
func (c *checker) matchAngle(i int) int {
	depth := 0
	for j := i; j < len(c.tokens); j++ {
		switch c.tokens[j].Text {
		case "<":
			depth++
		case ">":
			if depth--; depth == 0 {
				return j
			}
		case "(", "[":
			if j = c.match(j); j < 0 {
				return -1
			}
		case ";", "{", "}", ")", "]":
			return -1
		}
	}
	return -1
}

// isAttribute says whether a [[…]] begins at token i.
func (c *checker) isAttribute(i int) bool {
	return c.is(i, "[") && c.is(i+1, "[") && c.tokens[i].Span.End == c.tokens[i+1].Span.Start
}
