package dialect

import (
	_ "embed"
	"errors"
	"strings"

	"github.com/metalrank/metalrank/metal/msl"
)

// The stand-in for <metal_stdlib>: each part needs those before it.
var (
	//go:embed decl_types.h
	declaredTypes string
	//go:embed decl_traits.h
	declaredTraits string
	//go:embed decl_math.h
	declaredMath string
	//go:embed decl_threads.h
	declaredThreads string

	declarations = declaredTypes + declaredTraits + declaredMath + declaredThreads
)

// maxRounds bounds how often the text is repaired and compiled anew.
const maxRounds = 4

// compileFlags make clang report every problem with its source range, and write LLVM's text for the call graph: of
// every function, called or not, and before any is inlined.
var compileFlags = []string{
	"-fno-exceptions", "-fno-rtti", "-Wno-everything", "-Wimplicit-float-conversion",
	"-fno-caret-diagnostics", "-fdiagnostics-print-source-range-info", "-ftemplate-backtrace-limit=0", "-ferror-limit=100",
	"-S", "-emit-llvm", "-O0", "-Xclang", "-disable-llvm-passes", "-femit-all-decls", "-gline-tables-only", "-o", "-",
}

// compile has clang check the types, and looks for recursion in the code that clang generates.
func (c *checker) compile() error {
	text, err := c.convert()
	if failure, ok := errors.AsType[*msl.Error](err); ok {
		return c.syntax(failure)
	}
	if err != nil {
		return err
	}
	for round := 1; ; round++ {
		code, complaints, err := c.clang(declarations+"\n"+text.text, compileFlags...)
		if err != nil {
			return err
		}
		found := parseDiagnostics(complaints)
		if edits := repairs(text.text, found); len(edits) > 0 && round < maxRounds {
			text = rewrite(text.text, text, edits)
			continue
		}
		c.complain(text, found)
		c.recursion(text, code)
		return nil
	}
}

// declarationLines is the number of lines before the text.
var declarationLines = strings.Count(declarations, "\n") + 1

// repairs returns edits that wrap expressions which Metal accepts and clang complains of: lint_thread around objects
// that are copied between address spaces, lint_bools around results of vector comparisons.
func repairs(text string, found []diagnostic) []edit {
	var edits []edit
	seen := map[int]bool{}
	for i := range found {
		d := &found[i]
		wrapper, ranges := "lint_thread(", d.ranges
		switch {
		case d.copiesClass():
		case d.comparesVectors(): // the last range is the value
			wrapper, ranges = "lint_bools(", ranges[len(ranges)-1:]
		default:
			continue
		}
		for _, r := range ranges {
			start, end := offset(text, r[0]-declarationLines, r[1]), offset(text, r[2]-declarationLines, r[3])
			if r[0] <= declarationLines || start >= end || seen[start] || strings.HasPrefix(text[start:], wrapper) {
				continue
			}
			seen[start] = true
			edits = append(edits, edit{start, start, wrapper}, edit{end, end, ")"})
		}
	}
	return edits
}

// complain reports the errors among clang's diagnostics.
func (c *checker) complain(text *rewritten, found []diagnostic) {
	for i := range found {
		d := &found[i]
		if d.severity != "error" && !d.makesBfloat() {
			continue
		}
		line, column := d.line, d.column
		for _, n := range d.notes { // an error in decl_*.h is reported where the code uses it
			if line <= declarationLines {
				line, column = n.line, n.column
			}
		}
		at := text.origin(offset(text.text, max(line-declarationLines, 1), column))
		position := c.file.Position(at)
		rule := d.rule()
		if rule == Compile && c.has(position.File, position.Line, Double, Library, Allocation, Feature) {
			continue // the same again
		}
		c.report(at, rule, "%s", d.explained())
	}
}
