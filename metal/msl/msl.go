// Package msl reads preprocessed Metal Shading Language just well enough to find the parts that plain C++ lacks: kernels
// with their attributes, function constants, threadgroup variables. It is no compiler: a real one checks the rest
// afterwards. The simulator and the dialect check both build on it.
//
// It knows nothing of devices or of how the result is compiled.
package msl

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
)

// Span is a piece of File.Text: bytes Start to End, End not included.
type Span struct{ Start, End int }

// Position is a place in the source before preprocessing.
type Position struct {
	File string
	Line int // from 1
}

// Attribute is one attribute of a [[…]] list: "buffer" with Argument "0", "kernel" with none.
type Attribute struct {
	Name     string
	Argument string // trimmed; adjacent strings of host_name joined, without quotes
	Span     Span
}

// ParameterKind is the kind of a kernel parameter's binding.
type ParameterKind int

// The kinds of parameter.
const (
	ParameterBuffer      ParameterKind = iota // a pointer or reference to device or constant memory
	ParameterThreadgroup                      // a pointer to threadgroup memory
	ParameterBuiltin                          // a position or a size; Builtin says which
)

// Parameter is one parameter of a kernel.
type Parameter struct {
	Name         string
	Text         string // without attributes
	Kind         ParameterKind
	Index        int    // of a buffer or a threadgroup pointer
	Builtin      string // "thread_position_in_grid"
	AddressSpace string // "device", "constant", "threadgroup"; empty for a builtin
	Reference    bool   // T&, not T*
	Condition    string // the function constant of [[function_constant(x)]]; empty: always bound
	Attributes   []Attribute
	Span         Span
}

// Kernel is the definition of a kernel function, or of a template of kernels.
type Kernel struct {
	Name       string // of the function
	Template   *Template
	Parameters []Parameter
	Scope      string // namespaces around it, "a::b::"
	MaxThreads string // expression in max_total_threads_per_threadgroup; empty: none
	Attributes []Attribute
	Variables  []ThreadgroupVariable // declared in its body
	// Constants are the function constants that it can reach, by name, in the order of their declaration.
	Constants []string
	Span      Span // from `template`, or from its first attribute or specifier, to the closing brace
	Body      Span // braces included
	Position  Position
}

// Template is the head of a template.
type Template struct {
	Parameters []string // names, in order; a pack ends in "..."
	Span       Span     // `template <…>`
}

// Instantiation makes a kernel of a template: template [[host_name("x")]] [[kernel]] decltype(f<T>) f<T>;
type Instantiation struct {
	HostName string
	Function string // "f"
	Target   string // "f<T>", with its namespaces
	Span     Span
	Position Position
}

// FunctionConstant is a `constant T x [[function_constant(i)]];`.
type FunctionConstant struct {
	Name     string
	Type     string // "bool"
	Index    uint32
	Optional bool // somewhere the source asks is_function_constant_defined(Name)
	Span     Span // the declaration, semicolon included
	Position Position
}

// DerivedConstant is a constant at namespace scope; its initialiser uses function constants.
type DerivedConstant struct {
	Name, Type, Initializer string
	Span                    Span
	Position                Position
}

// ThreadgroupVariable is a `threadgroup T x[N];` in a kernel.
type ThreadgroupVariable struct {
	Name     string
	Type     string // "float"
	Extents  string // "[4][N]"; empty: one value
	Align    string // the argument of alignas, a number or a type; empty: none
	Zeroed   bool   // = {0}: it is zero before any thread runs
	Span     Span   // the whole declaration, shared by the variables that it declares
	Position Position
}

// Entry is a kernel of the library: a plain one, or an instantiation of a template.
type Entry struct {
	HostName string
	Target   string // "f<T>", with its namespaces
	Kernel   *Kernel
	Position Position
}

// File is the result of Parse.
type File struct {
	Text           string
	Kernels        []Kernel
	Instantiations []Instantiation
	Constants      []FunctionConstant
	Derived        []DerivedConstant

	entries    []Entry
	overloaded []Span // functions that differ from an earlier one in address spaces alone
	tokens     []token
	lines      []marker
}

// Error describes source that isn't understood.
type Error struct {
	Position Position
	Message  string
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("msl: %s:%d: %s", e.Position.File, e.Position.Line, e.Message)
}

// Entries lists the kernels of the library, in the order of their definition, plain ones first.
func (f *File) Entries() []Entry { return f.entries }

// Slice is the text of a span.
func (f *File) Slice(s Span) string { return f.Text[s.Start:s.End] }

// errorf is an Error at a byte of the text.
func (f *File) errorf(at int, format string, args ...any) error {
	return &Error{Position: f.Position(at), Message: fmt.Sprintf(format, args...)}
}

//go:embed *.go
var code embed.FS

// CodeHash returns a hash of this package's own code. A caller that caches the results of Rewrite must not use them when
// the hash differs.
func CodeHash() (string, error) {
	files, err := code.ReadDir(".")
	if err != nil {
		return "", fmt.Errorf("msl: %w", err)
	}
	h := sha256.New()
	for _, file := range files {
		text, err := code.ReadFile(file.Name())
		if err != nil {
			return "", fmt.Errorf("msl: %w", err)
		}
		fmt.Fprintf(h, "%s %d\n%s", file.Name(), len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
