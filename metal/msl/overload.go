package msl

import "strings"

// Metal overloads functions by the address spaces of their parameters, members by that of their object, and specialises
// templates for them. C++ has one address space, so only the first of such declarations may stay.

// addressSpaces are the words that make such overloads.
var addressSpaces = map[string]bool{"device": true, "constant": true, "thread": true, "threadgroup": true, "threadgroup_imageblock": true}

// overloads notes the functions and classes of one scope, by their text without address spaces.
type overloads map[string]declaration

// note remembers a function or a class that d declares. If seen has one that differs in address spaces alone, it adds d
// to the spans that Rewrite removes. Errors: their bodies differ.
func (p *parser) note(seen overloads, d declaration) error {
	end := d.head
	if d.body >= 0 {
		end = p.signatureEnd(d)
	} else if !p.is(d.head, "{") {
		return nil
	}
	key := p.withoutSpaces(d.start, end)
	first, ok := seen[key]
	if !ok {
		seen[key] = d
		return nil
	}
	if p.withoutSpaces(first.start, first.end) != p.withoutSpaces(d.start, d.end) {
		return p.errorf(p.tokens[d.start].at, "an overload differs from that in line %d by address spaces, and in what it does: give it another name",
			p.Position(p.tokens[first.start].at).Line)
	}
	if p.join(first.start, first.end) != p.join(d.start, d.end) { // else it is a mistake, which the compiler reports
		p.overloaded = append(p.overloaded, Span{p.tokens[d.start].at, p.tokens[d.end-1].end()})
	}
	return nil
}

// members notes the member functions of the class with the opening brace at token i, and of classes within.
func (p *parser) members(i int) error {
	closing, err := p.match(i, len(p.tokens))
	if err != nil {
		return err
	}
	seen := overloads{}
	for i++; i < closing; {
		if p.is(i, ":") || p.is(i+1, ":") && (p.is(i, "public") || p.is(i, "private") || p.is(i, "protected")) {
			i++
			continue
		}
		d, err := p.declaration("", i, closing)
		if err != nil {
			return err
		}
		if err := p.overload(seen, d); err != nil {
			return err
		}
		i = d.end
	}
	return nil
}

// signatureEnd is the token at which a function's initialisers or its body begin.
func (p *parser) signatureEnd(d declaration) int {
	for i := d.start; i < d.body; i++ {
		if p.is(i, "(") || p.is(i, "[") {
			if closing, err := p.match(i, d.body); err == nil {
				i = closing
			}
		} else if p.is(i, ":") {
			return i
		}
	}
	return d.body
}

func (p *parser) withoutSpaces(start, end int) string {
	var text strings.Builder
	for _, t := range p.tokens[start:end] {
		if !addressSpaces[t.text] {
			text.WriteString(t.text + " ")
		}
	}
	return text.String()
}
