// Package dialect checks that a shader is Metal Shading Language, and not merely something that the simulator's C++
// compiler takes: address spaces, C++ features that Metal leaves out, attributes and limits; and, if asked, our house
// rules.
//
// It does not check a kernel's results; the simulator's checked mode and the numeric tests do.
//
// How: the preprocessed text (package msl reads it) is rewritten a little and compiled by clang as C++17, after
// declarations of our own of Metal's library (decl_*.h), in which every address space is a type qualifier that nothing
// converts from or to. C++ for OpenCL would be the more obvious language; but without its generic address space clang
// refuses temporaries of a class there, so that merge(a, Running{0, 1}) would be an error.
//
// It refuses some code that Metal takes: methods for objects of one memory (`float sum() const device`), threadgroup
// variables with an initialiser, a kernel's parameter without an index, which Metal's compiler would choose, and casts
// that drop const. It takes some code that Metal might refuse: uses of functions that Apple's headers declare more
// narrowly than decl_*.h.
package dialect

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/msl"
)

// Rule names the rule that a Problem breaks.
type Rule string

// The rules. Quotes mark headings of the Metal Shading Language Specification.
const (
	AddressSpace   Rule = "address-space"      // "Address Spaces": none, the wrong one, or a change of it
	Const          Rule = "const"              // a write to a constant, a cast that drops const
	ProgramScope   Rule = "program-scope"      // "Constant Address Space": a variable outside functions that isn't in it
	Recursion      Rule = "recursion"          // "Restrictions"
	Double         Rule = "double"             // "Scalar Data Types": there is no double
	Allocation     Rule = "allocation"         // "Restrictions": no new, no delete
	Library        Rule = "library"            // "Restrictions": no C++ standard library
	Feature        Rule = "feature"            // "Restrictions": other C++ features that Metal leaves out
	Attributes     Rule = "attribute"          // "Attributes": unknown, missing, or not of the parameter's type
	Index          Rule = "index"              // of a buffer, a threadgroup pointer or a function constant
	Threadgroup    Rule = "threadgroup-memory" // too much of it
	Catalogue      Rule = "catalogue"          // a kernel without a launch, or two of one name
	Compile        Rule = "compile"            // all else that the compiler refuses
	HouseHeader    Rule = "header"             // the comment at the top: formula, buffers, grid, constraints
	HouseLength    Rule = "length"             // a file or a kernel's body has too many lines
	HouseFast      Rule = "fast"               // fast:: without a comment that explains it
	HouseNames     Rule = "names"              // a function with the name of one of Metal's library
	HouseSimulator Rule = "simulator"          // an #if on a driver or host: every driver gets one text
)

// Options selects the checks besides those of the language. The zero value selects none.
type Options struct {
	House    bool     // our house rules too
	Kernels  []string // the names that Go code launches; nil: not checked
	Compiler string   // clang++; empty: the one that the simulator finds
}

// Problem is one breach of one rule.
type Problem struct {
	File    string
	Line    int // from 1; 0: the file as a whole
	Column  int // from 1; of the first token concerned, where it is known
	Rule    Rule
	Message string
}

// String is the problem as compilers print it.
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s (%s)", p.File, p.Line, p.Column, p.Message, p.Rule)
}

// Check returns the problems of source, in the order of its lines. Errors: there is no compiler, or it didn't run.
func Check(ctx context.Context, source metal.Source, options Options) ([]Problem, error) {
	problems, _, err := CheckKernels(ctx, source, options)
	return problems, err
}

// CheckKernels is Check, and lists the kernels that the source has, by the names under which a library has them; none
// where the source could not be read.
func CheckKernels(ctx context.Context, source metal.Source, options Options) ([]Problem, []string, error) {
	compiler, err := findCompiler(options.Compiler)
	if err != nil {
		return nil, nil, err
	}
	c := &checker{ctx: ctx, compiler: compiler, options: options, source: splitLines(source)}
	err = c.check()
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(c.problems), c.names, err
}

// checker is one run of Check.
type checker struct {
	ctx      context.Context
	compiler string
	options  Options
	source   *lines
	file     *msl.File
	tokens   []msl.Token
	problems []Problem
	names    []string // of kernels
}

func (c *checker) check() error {
	c.includes()
	if c.options.House {
		c.houseRules()
	}
	text, err := c.preprocess()
	if err != nil || text == "" {
		return err
	}
	c.file = msl.Scan(text)
	c.tokens = c.file.Tokens()
	c.words()
	c.programScope()
	parsed, err := msl.Parse(text)
	if err != nil {
		return c.syntax(err)
	}
	c.file = parsed
	c.attributes()
	c.clashes()
	c.kernels()
	c.constants()
	c.catalogue()
	if c.options.House {
		c.bodies()
	}
	return c.compile()
}

// report notes a problem at a byte of the preprocessed text.
func (c *checker) report(at int, rule Rule, format string, args ...any) {
	position := c.file.Position(at)
	c.problems = append(c.problems, Problem{
		File: position.File, Line: position.Line, Column: c.column(at), Rule: rule, Message: fmt.Sprintf(format, args...),
	})
}

// reportLine notes a problem with a line of the source.
func (c *checker) reportLine(file string, line int, rule Rule, format string, args ...any) {
	c.problems = append(c.problems, Problem{
		File: file, Line: line, Column: 1, Rule: rule, Message: fmt.Sprintf(format, args...),
	})
}

// has says whether a problem of any of some rules is noted for a line.
func (c *checker) has(file string, line int, rules ...Rule) bool {
	return slices.ContainsFunc(c.problems, func(p Problem) bool {
		return p.File == file && p.Line == line && slices.Contains(rules, p.Rule)
	})
}
