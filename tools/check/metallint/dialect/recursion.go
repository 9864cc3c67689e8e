package dialect

import (
	"regexp"
	"slices"
	"strings"
)

// The lines of LLVM's textual form that give a function's calls and its place.
var (
	irDefine     = regexp.MustCompile(`^define .*?@("[^"]+"|[\w.$]+)\(.*!dbg !(\d+) \{$`)
	irCall       = regexp.MustCompile(`\b(?:call|invoke) .*?@("[^"]+"|[\w.$]+)\(`)
	irSubprogram = regexp.MustCompile(`^!(\d+) = distinct !DISubprogram\(name: "([^"]*)".*?\bline: (\d+)`)
)

// function is one that clang made code of; each overload and each instance of a template is one.
type function struct {
	name, debug string
	calls       []string
}

// recursion reports functions that may call themselves, directly or through others. LLVM's text has a name for each
// overload and each instance of a template.
func (c *checker) recursion(text *rewritten, code string) {
	functions, subprograms := callGraph(code)
	for name, f := range functions {
		reached := map[string]bool{}
		pending := slices.Clone(f.calls)
		for len(pending) > 0 {
			callee := pending[len(pending)-1]
			pending = pending[:len(pending)-1]
			if next := functions[callee]; next != nil && !reached[callee] {
				reached[callee] = true
				pending = append(pending, next.calls...)
			}
		}
		if s := subprograms[f.debug]; reached[name] && s.line > declarationLines {
			at := text.origin(offset(text.text, s.line-declarationLines, 1))
			c.report(c.nameInLine(at, s.name), Recursion, "%s calls itself: Metal has no recursion", s.name)
		}
	}
}

// subprogram is the place of a function in the source, as LLVM gives it.
type subprogram struct {
	name string
	line int
}

// callGraph reads LLVM's text: functions by their symbols, and their places by number.
func callGraph(code string) (functions map[string]*function, subprograms map[string]subprogram) {
	functions, subprograms = map[string]*function{}, map[string]subprogram{}
	var current *function
	for line := range strings.Lines(code) {
		line = strings.TrimSuffix(line, "\n")
		if m := irDefine.FindStringSubmatch(line); m != nil {
			current = &function{name: m[1], debug: m[2]}
			functions[m[1]] = current
		} else if m := irCall.FindStringSubmatch(line); m != nil && current != nil {
			current.calls = append(current.calls, m[1])
		} else if m := irSubprogram.FindStringSubmatch(line); m != nil {
			subprograms[m[1]] = subprogram{name: m[2], line: number(m[3])}
		}
	}
	return functions, subprograms
}

// nameInLine returns the byte at which name stands in the line of byte at, or after that line.
func (c *checker) nameInLine(at int, name string) int {
	name, _, _ = strings.Cut(name, "<")
	start := strings.LastIndexByte(c.file.Text[:at], '\n') + 1
	for _, t := range c.tokens {
		if t.Span.Start >= start && t.Text == name {
			return t.Span.Start
		}
	}
	return at
}
