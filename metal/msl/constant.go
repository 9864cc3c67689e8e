package msl

import (
	"slices"
	"strconv"
)

// functionConstant notes constant T x [[function_constant(i)]];
func (p *parser) functionConstant(d declaration, a Attribute) error {
	index, err := strconv.ParseUint(a.Argument, 0, 16)
	if err != nil {
		return p.errorf(a.Span.Start, "function_constant(%s): the index must be a number", a.Argument)
	}
	name, from, to := p.variable(d)
	p.Constants = append(p.Constants, FunctionConstant{
		Name: name, Type: p.typeOf(from, to), Index: uint32(index),
		Span:     Span{p.tokens[d.start].at, p.tokens[d.end-1].end()},
		Position: p.Position(p.tokens[d.start].at),
	})
	return nil
}

// derivedConstant notes a constant if its initialiser mentions a function constant or another derived constant.
func (p *parser) derivedConstant(d declaration) {
	if !slices.ContainsFunc(p.mentions(d.assign, d.end), p.isConstant) || p.headHas(d, "constexpr") {
		return
	}
	name, from, to := p.variable(d)
	p.Derived = append(p.Derived, DerivedConstant{
		Name: name, Type: p.typeOf(from, to), Initializer: p.join(d.assign+1, d.end-1),
		Span:     Span{p.tokens[d.start].at, p.tokens[d.end-1].end()},
		Position: p.Position(p.tokens[d.start].at),
	})
}

// isConstant says whether name is a function constant or derived from one.
func (p *parser) isConstant(name string) bool {
	return slices.ContainsFunc(p.Constants, func(c FunctionConstant) bool { return c.Name == name }) ||
		slices.ContainsFunc(p.Derived, func(c DerivedConstant) bool { return c.Name == name })
}

// variable returns the name that d declares, and the tokens before it.
func (p *parser) variable(d declaration) (name string, from, to int) {
	to = d.start
	for i := d.start; i < d.head && !p.is(i, "["); i++ {
		if p.tokens[i].kind == tokenName {
			to = i
		}
	}
	return p.tokens[to].text, d.start, to
}

// typeOf returns the text of a type without the words that C++ doesn't need.
func (f *File) typeOf(from, to int) string {
	text := ""
	for i := from; i < to; i++ {
		switch f.tokens[i].text {
		case "constant", "const", "static", "inline", "threadgroup":
			continue
		case "alignas":
			if closing, err := f.match(i+1, to); err == nil {
				i = closing
				continue
			}
		}
		if text != "" && f.tokens[i].at > f.tokens[i-1].end() {
			text += " "
		}
		text += f.tokens[i].text
	}
	return text
}

// markOptional marks the constants that the source names in is_function_constant_defined.
func (p *parser) markOptional() {
	for i := range p.tokens {
		if !p.is(i, "is_function_constant_defined") || !p.is(i+1, "(") {
			continue
		}
		closing, err := p.match(i+1, len(p.tokens))
		if err != nil {
			continue
		}
		for j := range p.Constants {
			if p.is(closing-1, p.Constants[j].Name) {
				p.Constants[j].Optional = true
			}
		}
	}
}

// resolve finds the function constants that each kernel can reach: those that it mentions, and those that a reached
// declaration of namespace scope mentions. Code that is discarded when a template is instantiated counts too.
func (p *parser) resolve() {
	p.markOptional()
	for i := range p.Kernels {
		k := &p.Kernels[i]
		reached := map[string]bool{}
		pending := []string{k.Name}
		for len(pending) > 0 {
			name := pending[len(pending)-1]
			pending = pending[:len(pending)-1]
			if !reached[name] {
				reached[name] = true
				pending = append(pending, p.uses[name]...)
			}
		}
		for _, c := range p.Constants {
			if reached[c.Name] {
				k.Constants = append(k.Constants, c.Name)
			}
		}
	}
}
