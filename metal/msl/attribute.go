package msl

import "strings"

// attributes are those of one declaration or parameter.
type attributes []Attribute

func (a attributes) find(name string) *Attribute {
	for i := range a {
		if a[i].Name == name {
			return &a[i]
		}
	}
	return nil
}

// isAttribute says whether an attribute list begins at token i.
func (f *File) isAttribute(i int) bool {
	return f.is(i, "[") && f.is(i+1, "[") && f.tokens[i].end() == f.tokens[i+1].at
}

// attributeList parses the [[…]] at token i and returns the token after it.
func (f *File) attributeList(i, end int) (attributes, int, error) {
	closing, err := f.match(i, end)
	if err != nil {
		return nil, 0, err
	}
	span := Span{f.tokens[i].at, f.tokens[closing].end()}
	var list attributes
	for j := i + 2; j < closing-1; j++ {
		if f.is(j, ",") {
			continue
		}
		a := Attribute{Span: span}
		for ; j < closing-1 && !f.is(j, ",") && !f.is(j, "("); j++ {
			a.Name += f.tokens[j].text // clang::name is three tokens
		}
		if f.is(j, "(") {
			argumentEnd, err := f.match(j, closing)
			if err != nil {
				return nil, 0, err
			}
			a.Argument = f.argument(j+1, argumentEnd)
			j = argumentEnd
		}
		list = append(list, a)
	}
	return list, closing + 1, nil
}

// argument is an attribute's argument: strings side by side are one string.
func (f *File) argument(start, end int) string {
	var joined strings.Builder
	for i := start; i < end; i++ {
		if f.tokens[i].kind != tokenString {
			return f.join(start, end)
		}
		joined.WriteString(strings.Trim(f.tokens[i].text, `"`))
	}
	return joined.String()
}

// headAttributes collects the attributes between two tokens, but for those of parameters.
func (f *File) headAttributes(start, end int) (attributes, error) {
	var all attributes
	for i := start; i < end; {
		switch {
		case f.isAttribute(i):
			list, next, err := f.attributeList(i, end)
			if err != nil {
				return nil, err
			}
			all, i = append(all, list...), next
		case f.is(i, "(") || f.is(i, "{"):
			closing, err := f.match(i, len(f.tokens))
			if err != nil {
				return nil, err
			}
			i = closing + 1
		default:
			i++
		}
	}
	return all, nil
}
