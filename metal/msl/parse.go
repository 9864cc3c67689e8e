package msl

import (
	"slices"
	"strings"
)

// Parse reads text, the output of `clang -E`. Errors: *Error.
func Parse(text string) (*File, error) {
	s := scanner{text: text}
	s.scan()
	f := &File{Text: text, tokens: s.tokens, lines: s.lines}
	p := parser{File: f, uses: map[string][]string{}, functions: map[string]overloads{}}
	if err := p.scope("", 0, len(f.tokens)); err != nil {
		return nil, err
	}
	p.resolve()
	if err := p.enter(); err != nil {
		return nil, err
	}
	return f, nil
}

// parser walks the declarations of namespace scope.
type parser struct {
	*File
	functions map[string]overloads // by namespace
	uses      map[string][]string  // the names that a declaration mentions, by its own name: for Kernel.Constants
}

// is says whether token i is the given text, and not a string.
func (f *File) is(i int, text string) bool {
	return i >= 0 && i < len(f.tokens) && f.tokens[i].text == text && f.tokens[i].kind != tokenString
}

// match returns the index of the bracket that closes the one at token i.
func (f *File) match(i, end int) (int, error) {
	closing := map[string]string{"(": ")", "[": "]", "{": "}"}
	if i >= end || closing[f.tokens[i].text] == "" {
		return 0, f.errorf(len(f.Text), "a bracket is missing")
	}
	var open []string
	for j := i; j < end; j++ {
		switch text := f.tokens[j].text; text {
		case "(", "[", "{":
			open = append(open, closing[text])
		case ")", "]", "}":
			if text != open[len(open)-1] {
				return 0, f.errorf(f.tokens[j].at, "unexpected %s, want %s", text, open[len(open)-1])
			}
			if open = open[:len(open)-1]; len(open) == 0 {
				return j, nil
			}
		}
	}
	return 0, f.errorf(f.tokens[i].at, "%s is not closed", f.tokens[i].text)
}

// matchAngle returns the index of the > that closes the < at token i.
func (f *File) matchAngle(i, end int) (int, error) {
	depth := 0
	for j := i; j < end; j++ {
		switch f.tokens[j].text {
		case "<":
			depth++
		case ">":
			if depth--; depth == 0 {
				return j, nil
			}
		case "(", "[", "{":
			closing, err := f.match(j, end)
			if err != nil {
				return 0, err
			}
			j = closing
		}
	}
	return 0, f.errorf(f.tokens[i].at, "< is not closed")
}

// scope parses declarations from token i to end; names are those of the namespaces around, "a::b::".
func (p *parser) scope(names string, i, end int) error {
	for i < end {
		open, inner := p.namespace(i, end)
		if open >= 0 {
			closing, err := p.match(open, end)
			if err != nil {
				return err
			}
			if err := p.scope(names+inner, open+1, closing); err != nil {
				return err
			}
			i = closing + 1
			continue
		}
		d, err := p.declaration(names, i, end)
		if err != nil {
			return err
		}
		if err := p.declare(d); err != nil {
			return err
		}
		if p.functions[names] == nil {
			p.functions[names] = overloads{}
		}
		if err := p.overload(p.functions[names], d); err != nil {
			return err
		}
		i = d.end
	}
	return nil
}

// overload looks for overloads by address space: d itself, and its members.
func (p *parser) overload(seen overloads, d declaration) error {
	if d.body < 0 && d.head < d.end && p.is(d.head, "{") {
		if err := p.members(d.head); err != nil {
			return err
		}
	}
	return p.note(seen, d)
}

// namespace recognises `namespace a::b {` and `extern "C" {` at token i: the index of the brace, or -1.
func (p *parser) namespace(i, end int) (open int, names string) {
	for p.is(i, "inline") {
		i++
	}
	switch {
	case p.is(i, "extern") && i+2 < end && p.tokens[i+1].kind == tokenString && p.is(i+2, "{"):
		return i + 2, ""
	case !p.is(i, "namespace"):
		return -1, ""
	}
	for j := i + 1; j < end && !p.is(j, ";") && !p.is(j, "="); j++ {
		if p.is(j, "{") {
			return j, names
		}
		if p.tokens[j].kind == tokenName && !p.is(j, "inline") {
			names += p.tokens[j].text + "::"
		}
	}
	return -1, ""
}

// declaration is one declaration of namespace scope: tokens start to end. Indices are -1 where there is none.
type declaration struct {
	scope      string
	start, end int
	body       int // of the brace that opens a function's body
	bodyEnd    int // of the brace that closes it
	assign     int // of the = of an initialiser
	head       int // end of the head: the body, the = or the ;
}

// declaration finds where the declaration at token start ends: at a semicolon, or after a function's body.
func (p *parser) declaration(scope string, start, end int) (declaration, error) {
	d := declaration{scope: scope, start: start, body: -1, bodyEnd: -1, assign: -1, head: -1}
	i := start
	if p.is(i, "template") && p.is(i+1, "<") {
		closing, err := p.matchAngle(i+1, end)
		if err != nil {
			return d, err
		}
		i = closing + 1
	}
	isType, hasParameters := false, false
	for ; i < end; i++ {
		switch text := p.tokens[i].text; text {
		case "struct", "class", "union", "enum":
			isType = isType || !hasParameters && d.assign < 0
		case "=":
			if d.assign < 0 && !p.is(i-1, "operator") && !p.is(i-2, "operator") {
				d.assign = i
			}
		case ";":
			d.end, d.head = i+1, firstOf(d.head, d.assign, i)
			return d, nil
		case "(", "[", "{":
			closing, err := p.match(i, end)
			if err != nil {
				return d, err
			}
			if text == "{" && hasParameters && d.assign < 0 {
				d.body, d.bodyEnd, d.head, d.end = i, closing, i, closing+1
				return d, nil
			}
			if text == "{" && isType && d.head < 0 {
				d.head = i
			}
			hasParameters = hasParameters || text == "(" && !isType && !p.is(i-1, "alignas") && !p.is(i-1, "__attribute__")
			i = closing
		}
	}
	d.end, d.head = end, end
	return d, nil
}

// firstOf is the first of some indices that is set.
func firstOf(indices ...int) int {
	return indices[slices.IndexFunc(indices, func(i int) bool { return i >= 0 })]
}

// declare notes d if it is a kernel, an instantiation, a function constant or a derived constant. It also notes the
// names that d mentions, and refuses a threadgroup variable outside a kernel.
func (p *parser) declare(d declaration) error {
	if d.end-d.start < 2 || p.is(d.start, "using") && !p.is(d.start+2, "=") {
		return nil
	}
	attributes, err := p.headAttributes(d.start, d.head)
	if err != nil {
		return err
	}
	isKernel := attributes.find("kernel") != nil || p.headHas(d, "kernel")
	switch {
	case isKernel && d.body >= 0:
		err = p.kernel(d, attributes)
	case isKernel && p.is(d.start, "template") && !p.is(d.start+1, "<"):
		err = p.instantiation(d, attributes)
	case attributes.find("function_constant") != nil:
		err = p.functionConstant(d, *attributes.find("function_constant"))
	case d.assign >= 0 && p.headHas(d, "constant"):
		p.derivedConstant(d)
	}
	if err != nil {
		return err
	}
	if name := p.declaredName(d); name != "" {
		p.uses[name] = append(p.uses[name], p.mentions(d.start, d.end)...)
	}
	return p.noThreadgroupVariable(d, isKernel)
}

// headHas says whether the head of d has name outside brackets.
func (p *parser) headHas(d declaration, name string) bool {
	for i := d.start; i < d.head; i++ {
		if p.is(i, "(") || p.is(i, "[") || p.is(i, "{") {
			if closing, err := p.match(i, d.end); err == nil {
				i = closing
			}
		} else if p.is(i, name) {
			return true
		}
	}
	return false
}

// declaredName is the name that a declaration gives to something: before its parameters, its initialiser or its end.
func (p *parser) declaredName(d declaration) string {
	i := d.start
	if p.is(i, "template") && p.is(i+1, "<") {
		if closing, err := p.matchAngle(i+1, d.end); err == nil {
			i = closing + 1
		}
	}
	if p.is(i, "using") {
		return p.tokens[i+1].text
	}
	isType := p.is(i, "struct") || p.is(i, "class") || p.is(i, "union") || p.is(i, "enum")
	name := ""
	for ; i < d.head; i++ {
		switch t := p.tokens[i]; {
		case t.text == "__attribute__" || t.text == "alignas" || t.text == "decltype":
			i++
			fallthrough
		case t.text == "[":
			if closing, err := p.match(i, d.end); err == nil {
				i = closing
			}
		case t.text == "(" || t.text == "<" && isType || t.text == ":" && isType:
			return name
		case t.text == "<":
			if closing, err := p.matchAngle(i, d.end); err == nil {
				i = closing
			}
		case t.kind == tokenName:
			name = t.text
		}
	}
	return name
}

// mentions lists the names between two tokens.
func (p *parser) mentions(start, end int) []string {
	var names []string
	for _, t := range p.tokens[start:end] {
		if t.kind == tokenName {
			names = append(names, t.text)
		}
	}
	return names
}

// join is the text of tokens without line markers and comments, one space between where there was any.
func (f *File) join(start, end int) string {
	var b strings.Builder
	for i := start; i < end; i++ {
		if i > start && f.tokens[i].at > f.tokens[i-1].end() {
			b.WriteByte(' ')
		}
		b.WriteString(f.tokens[i].text)
	}
	return b.String()
}
