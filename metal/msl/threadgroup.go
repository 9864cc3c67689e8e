package msl

// statement is a simple statement of a function's body: tokens start to end, the semicolon not included.
type statement struct{ start, end int }

// statements calls visit for every statement between the braces at tokens open and closing, nested ones too.
func (f *File) statements(open, closing int, visit func(statement) error) error {
	start := open + 1
	for i := open + 1; i < closing; i++ {
		switch text := f.tokens[i].text; text {
		case "{", "}":
			if text == "}" || !f.isInitializer(start, i) {
				start = i + 1
				continue
			}
			fallthrough
		case "(", "[":
			end, err := f.match(i, closing)
			if err != nil {
				return err
			}
			i = end
		case ";":
			if err := visit(statement{start, i}); err != nil {
				return err
			}
			start = i + 1
		}
	}
	return nil
}

// isInitializer says whether the brace at token i, in the statement from start on, opens an initialiser, not a block.
func (f *File) isInitializer(start, i int) bool {
	if f.is(i-1, "=") {
		return true
	}
	for j := start; j < i; j++ {
		if f.is(j, "(") || f.is(j, "=") {
			return false
		}
		if f.is(j, "threadgroup") {
			return true
		}
	}
	return false
}

// threadgroupVariables lists the variables that a kernel declares in threadgroup memory.
func (f *File) threadgroupVariables(open, closing int) ([]ThreadgroupVariable, error) {
	var all []ThreadgroupVariable
	err := f.statements(open, closing, func(s statement) error {
		if !f.declaresThreadgroup(s) {
			return nil
		}
		variables, err := f.threadgroupStatement(s)
		all = append(all, variables...)
		return err
	})
	return all, err
}

// declaresThreadgroup says whether s declares a variable in threadgroup memory; a pointer into it is none.
func (f *File) declaresThreadgroup(s statement) bool {
	qualified := false
	for i := s.start; i < s.end; i++ {
		closing, err := i, error(nil)
		switch f.tokens[i].text {
		case "threadgroup":
			qualified = true
		case "*", "&", "=", "using", "typedef", "return":
			return qualified && f.is(i, "=")
		case "(", "[":
			closing, err = f.match(i, s.end)
		case "<":
			closing, err = f.matchAngle(i, s.end)
		}
		if err != nil {
			return qualified
		}
		i = closing
	}
	return qualified
}

// threadgroupStatement parses threadgroup T a[N], b[M];
func (f *File) threadgroupStatement(s statement) ([]ThreadgroupVariable, error) {
	span := Span{f.tokens[s.start].at, f.tokens[s.end].end()}
	var variables []ThreadgroupVariable
	kind, align := "", ""
	for _, part := range f.split(s.start, s.end) {
		declarator, zeroed, err := f.initializer(part[0], part[1])
		if err != nil {
			return nil, err
		}
		part[1] = declarator
		extents := declarator
		for extents > part[0] && f.is(extents-1, "]") { // back over [N][M]
			depth := 0
			for extents--; ; extents-- {
				if f.is(extents, "]") {
					depth++
				}
				if f.is(extents, "[") {
					if depth--; depth == 0 {
						break
					}
				}
			}
		}
		name := extents - 1
		if name < part[0] || f.tokens[name].kind != tokenName || kind == "" && name == part[0] {
			return nil, f.errorf(span.Start, "a threadgroup variable that isn't understood: %s", f.join(s.start, s.end))
		}
		if kind == "" {
			kind, align = f.typeOf(part[0], name), f.alignment(part[0], name)
		}
		variables = append(variables, ThreadgroupVariable{
			Name: f.tokens[name].text, Type: kind, Extents: f.join(extents, part[1]), Align: align, Zeroed: zeroed,
			Span: span, Position: f.Position(span.Start),
		})
	}
	return variables, nil
}

// alignment returns the argument of the alignas between two tokens; empty: there is none.
func (f *File) alignment(from, to int) string {
	for i := from; i < to; i++ {
		if f.is(i, "alignas") {
			if closing, err := f.match(i+1, to); err == nil {
				return f.join(i+2, closing)
			}
		}
	}
	return ""
}

// initializer finds where the declarator between two tokens ends and its initialiser begins. It accepts only zeros as an
// initialiser; the memory is zero before any thread runs.
func (f *File) initializer(start, end int) (declarator int, zeroed bool, err error) {
	for i := start; i < end; i++ {
		switch f.tokens[i].text {
		case "(", "[":
			closing, err := f.match(i, end)
			if err != nil {
				return 0, false, err
			}
			i = closing
		case "=", "{":
			for j := i; j < end; j++ {
				switch f.tokens[j].text {
				case "=", "{", "}", ",", "0", "0.0", "0.0f", "0.f", "0.0h", "0.h", "false":
				default:
					return 0, false, f.errorf(f.tokens[j].at, "a threadgroup variable may be initialised with zeros only, got %s", f.join(i, end))
				}
			}
			return i, true, nil
		}
	}
	return end, false, nil
}

// noThreadgroupVariable refuses threadgroup variables outside kernels, where Metal has none.
func (p *parser) noThreadgroupVariable(d declaration, isKernel bool) error {
	refuse := func(s statement) error {
		if p.declaresThreadgroup(s) {
			return p.errorf(p.tokens[s.start].at, "a threadgroup variable outside a kernel: %s", p.join(s.start, s.end))
		}
		return nil
	}
	switch {
	case isKernel:
		return nil
	case d.body >= 0:
		return p.statements(d.body, d.bodyEnd, refuse)
	case d.head < d.end && p.is(d.head, "{"):
		closing, err := p.match(d.head, d.end)
		if err != nil {
			return err
		}
		return p.statements(d.head, closing, refuse)
	}
	return refuse(statement{d.start, d.end - 1})
}
