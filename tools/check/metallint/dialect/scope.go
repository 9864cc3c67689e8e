package dialect

import "slices"

// notVariables are words that begin declarations of other things than variables.
var notVariables = []string{
	"using", "typedef", "struct", "class", "union", "enum", "namespace", "static_assert", "template", "extern", "friend",
	"public", "private", "protected",
}

// programScope reports variables that live as long as the program and aren't constant: Metal has memory for no others
// (Metal Shading Language Specification, "Constant Address Space"), not even for a constexpr.
func (c *checker) programScope() {
	c.namespaceScope(0, len(c.tokens))
	for i := range c.tokens { // in classes and functions the word static makes them
		if c.is(i, "static") {
			c.variable(i)
		}
	}
}

// namespaceScope looks at the declarations between two tokens of namespace scope.
func (c *checker) namespaceScope(i, end int) {
	for i < end {
		switch {
		case c.is(i, "namespace") || c.is(i, "extern") && c.is(i+2, "{"):
			for i < end && !c.is(i, "{") && !c.is(i, ";") {
				i++
			}
			if closing := c.match(i); c.is(i, "{") && closing > 0 {
				c.namespaceScope(i+1, closing)
				i = closing
			}
			i++
		default:
			c.variable(i)
			i = c.skipDeclaration(i, end)
		}
	}
}

// skipDeclaration returns the token after the declaration at token i: after a semicolon, or after a function's body.
func (c *checker) skipDeclaration(i, end int) int {
	parameters := false
	for ; i < end; i++ {
		switch c.tokens[i].Text {
		case ";":
			return i + 1
		case "(", "[", "{":
			closing := c.match(i)
			if closing < 0 {
				return end
			}
			if c.is(i, "{") && parameters {
				return closing + 1
			}
			parameters = parameters || c.is(i, "(") && !c.is(i-1, "alignas") && !c.is(i-1, "__attribute__")
			i = closing
		case "=":
			parameters = false // an initialiser follows, with braces or without
		}
	}
	return end
}

// variable reports the declaration at token i if it declares a variable without `constant`. Threadgroup variables have
// a rule of their own.
func (c *checker) variable(i int) {
	start, names, name := i, 0, ""
	for ; i < len(c.tokens); i++ {
		switch text := c.tokens[i].Text; {
		case c.isAttribute(i) || text == "alignas" || text == "__attribute__" || text == "[":
			if text != "[" {
				i++
			}
			if i = c.match(i); i < 0 {
				return
			}
		case text == "<":
			if i = c.matchAngle(i); i < 0 {
				return
			}
		case text == "constant" || text == "threadgroup" || text == "(" || text == "operator":
			return // "(": a function, or decltype
		case slices.Contains(notVariables, text):
			return
		case text == "=" || text == ";" || text == "{":
			if names >= 2 {
				c.report(c.tokens[start].Span.Start, ProgramScope,
					"%s lives as long as the program: Metal has memory for it only if it is constant", name)
			}
			return
		case c.isName(i):
			names, name = names+1, text
		}
	}
}
