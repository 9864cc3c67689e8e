package msl

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Edit replaces a span of a file's text.
type Edit struct {
	Span Span
	Text string
}

// Apply returns the text with edits made. They must not overlap. Where an edit takes lines away, a line marker follows,
// so that positions stay right.
func (f *File) Apply(edits []Edit) string {
	slices.SortStableFunc(edits, func(a, b Edit) int { return a.Span.Start - b.Span.Start })
	var out strings.Builder
	at := 0
	for _, e := range edits {
		out.WriteString(f.Text[at:e.Span.Start])
		out.WriteString(e.Text)
		if at = e.Span.End; strings.Contains(f.Slice(e.Span), "\n") {
			out.WriteString(lineMarker(f.Position(at)))
		}
	}
	out.WriteString(f.Text[at:])
	return out.String()
}

func lineMarker(p Position) string { return fmt.Sprintf("\n# %d %q\n", p.Line, p.File) }

// standardAttributes are those that a C++ compiler takes as they are.
var standardAttributes = []string{"maybe_unused", "nodiscard", "fallthrough", "likely", "unlikely", "noreturn", "deprecated", "no_unique_address"}

// AttributeEdits removes every attribute that C++ doesn't have. Errors: *Error for one that should have been part of
// a kernel or a function constant and isn't, or that is not known.
func (f *File) AttributeEdits() ([]Edit, error) {
	var edits []Edit
	for i := 0; i < len(f.tokens); i++ {
		if !f.isAttribute(i) {
			continue
		}
		list, next, err := f.attributeList(i, len(f.tokens))
		if err != nil {
			return nil, err
		}
		span := Span{f.tokens[i].at, f.tokens[next-1].end()}
		i = next - 1
		standard := 0
		for _, a := range list {
			switch {
			case slices.Contains(standardAttributes, a.Name) || strings.HasPrefix(a.Name, "clang::"):
				standard++
			case slices.Contains(Builtins, a.Name) || a.Name == "buffer" || a.Name == "threadgroup":
				// On a parameter of a plain function it has no meaning, but MLX writes it.
			case !f.inKernel(span):
				return nil, f.errorf(span.Start, "attribute %s is not known here", a.Name)
			}
		}
		if standard == 0 {
			edits = append(edits, Edit{Span: span})
		}
	}
	return edits, nil
}

// inKernel says whether an attribute at span belongs to the head of a kernel, an instantiation or a function constant.
func (f *File) inKernel(span Span) bool {
	within := func(s Span) bool { return s.Start <= span.Start && span.End <= s.End }
	return slices.ContainsFunc(f.Kernels, func(k Kernel) bool { return within(Span{k.Span.Start, k.Body.Start}) }) ||
		slices.ContainsFunc(f.Instantiations, func(i Instantiation) bool { return within(i.Span) }) ||
		slices.ContainsFunc(f.Constants, func(c FunctionConstant) bool { return within(c.Span) })
}

// Rewrite returns C++ for the simulator's shim. It must be compiled after `#include "msl.h"`. Errors: *Error.
func (f *File) Rewrite() (string, error) {
	attributes, err := f.AttributeEdits()
	if err != nil {
		return "", err
	}
	edits := slices.Concat(f.constantEdits(), f.variableEdits(), f.kernelEdits())
	for _, i := range f.Instantiations {
		edits = append(edits, Edit{Span: i.Span})
	}
	for _, span := range f.overloaded {
		edits = append(edits, Edit{Span: span})
	}
	within := func(s Span) bool {
		return slices.ContainsFunc(edits, func(e Edit) bool { return e.Span.Start <= s.Start && s.End <= e.Span.End && e.Span.Start < e.Span.End })
	}
	for _, e := range append(attributes, f.wordEdits()...) {
		if !within(e.Span) {
			edits = append(edits, e)
		}
	}
	if err := f.leftover(within); err != nil {
		return "", err
	}
	return f.Apply(edits) + f.table(), nil
}

// leftover refuses a threadgroup variable that was not rewritten: in C++, each thread would silently have its own.
func (f *File) leftover(rewritten func(Span) bool) error {
	for i, t := range f.tokens {
		if t.text != "threadgroup" || t.kind != tokenName || rewritten(Span{t.at, t.end()}) || f.is(i-1, ")") || f.is(i-1, "const") && f.is(i-2, ")") {
			continue
		}
		if f.declaresVariable(i + 1) {
			return f.errorf(t.at, "a threadgroup variable that isn't understood")
		}
	}
	return nil
}

// declaresVariable says whether the tokens from i on, which follow an address space, declare a variable that is neither
// pointer nor reference.
func (f *File) declaresVariable(i int) bool {
	for ; i < len(f.tokens); i++ {
		switch f.tokens[i].text {
		case "*", "&", "(", ")", ",", ">":
			return false
		case ";", "=", "{":
			return true
		case "[":
			if !f.isAttribute(i) {
				return true
			}
			return false
		case "<":
			if closing, err := f.matchAngle(i, len(f.tokens)); err == nil {
				i = closing
			}
		}
	}
	return false
}

// wordEdits removes words that C++ does not have, and turns is_function_constant_defined(x) into a look at x's registration.
func (f *File) wordEdits() []Edit {
	var edits []Edit
	for i, t := range f.tokens {
		switch {
		case t.kind != tokenName:
		case t.text == "constant" && (f.is(i-1, ")") || f.is(i-1, "const") && f.is(i-2, ")")):
			// The address space of a member's object; C++ has no const constructor.
			edits = append(edits, Edit{Span: Span{t.at, t.end()}})
		case t.text == "kernel":
			edits = append(edits, Edit{Span: Span{t.at, t.end()}})
		case t.text == "is_function_constant_defined" && f.is(i+1, "("):
			if closing, err := f.match(i+1, len(f.tokens)); err == nil {
				edits = append(edits, Edit{
					Span: Span{t.at, f.tokens[closing].end()},
					Text: "(" + f.join(i+2, closing) + constantSuffix + ".defined)",
				})
			}
		}
	}
	return edits
}

// constantSuffix makes the name of a function constant's registration.
const constantSuffix = "_registration"

func (f *File) constantEdits() []Edit {
	var edits []Edit
	for _, c := range f.Constants {
		edits = append(edits, Edit{c.Span, fmt.Sprintf("static %s %s; static sim::shim::ConstantOf<%s> %s%s(%d, %q, %s);",
			c.Type, c.Name, c.Type, c.Name, constantSuffix, c.Index, c.Name, c.Name)})
	}
	for _, d := range f.Derived {
		value := strings.ReplaceAll(d.Initializer, "is_function_constant_defined(", "sim::shim::isDefined(")
		for _, c := range f.Constants {
			value = strings.ReplaceAll(value, "sim::shim::isDefined("+c.Name+")", c.Name+constantSuffix+".defined")
		}
		edits = append(edits, Edit{d.Span, fmt.Sprintf("static %s %s; static sim::shim::DerivedOf %s%s([] { %s = %s; });",
			d.Type, d.Name, d.Name, constantSuffix, d.Name, value)})
	}
	return edits
}

// function is how a kernel names itself in its own body: f, or f<T, N>.
func (k *Kernel) function() string {
	if k.Template == nil {
		return k.Name
	}
	return k.Name + "<" + strings.Join(k.Template.Parameters, ", ") + ">"
}

// variableEdits turns threadgroup T x[N]; into a reference into the threadgroup's memory.
func (f *File) variableEdits() []Edit {
	var edits []Edit
	for _, k := range f.Kernels {
		for i, v := range k.Variables {
			text, align := "", "1"
			if v.Align != "" { // a number or a type
				text, align = fmt.Sprintf("struct alignas(%s) %s_alignment {}; ", v.Align, v.Name), fmt.Sprintf("alignof(%s_alignment)", v.Name)
			}
			text += fmt.Sprintf("typedef %s %s_memory%s; %s_memory& %s = sim::shim::variable<&%s, %d, %s_memory, %s, %t>(%q, %s);",
				v.Type, v.Name, v.Extents, v.Name, v.Name, k.function(), i, v.Name, align, v.Zeroed, v.Name, positionLiteral(v.Position))
			if i > 0 && k.Variables[i-1].Span == v.Span {
				edits[len(edits)-1].Text += " " + text
				continue
			}
			edits = append(edits, Edit{v.Span, text})
		}
	}
	return edits
}

func positionLiteral(p Position) string { return fmt.Sprintf("{%q, %d}", p.File, p.Line) }

// kernelEdits puts the limit on threads before each kernel, behind a copy of its template's head: the limit may use the
// names in the head.
func (f *File) kernelEdits() []Edit {
	var edits []Edit
	for _, k := range f.Kernels {
		head := ""
		if k.Template != nil {
			for i, t := range f.tokens {
				if t.at == k.Template.Span.Start {
					end := i
					for f.tokens[end].end() < k.Template.Span.End {
						end++
					}
					head = f.join(i, end+1) + " "
				}
			}
		}
		limit := k.MaxThreads
		if limit == "" {
			limit = "0"
		}
		edits = append(edits, Edit{
			Span: Span{k.Span.Start, k.Span.Start},
			Text: fmt.Sprintf("%sconstexpr unsigned %s_threads = %s; ", head, k.Name, limit),
		})
	}
	return edits
}

// table is the list of kernels at the end of the rewritten text.
func (f *File) table() string {
	var b strings.Builder
	for i, e := range f.entries {
		name, arguments, _ := strings.Cut(e.Target, "<")
		if arguments != "" {
			arguments = "<" + arguments
		}
		mask := uint32(0)
		var bindings []string
		for _, p := range e.Kernel.Parameters {
			bindings = append(bindings, binding(p))
			if p.Kind == ParameterBuffer && p.AddressSpace == "constant" && p.Index < 32 {
				mask |= 1 << p.Index
			}
		}
		b.WriteString(lineMarker(e.Position))
		fmt.Fprintf(&b, "static sim::shim::EntryOf<%s> sim_kernel_%d(%q, %s_threads%s, %du);",
			strings.Join(append([]string{"&" + e.Target}, bindings...), ", "), i, e.HostName, name, arguments, mask)
	}
	b.WriteString("\n# 1 \"kernels\"\nSIM_LIBRARY\n")
	return b.String()
}

// binding returns the shim's type for a parameter's binding.
func binding(p Parameter) string {
	switch p.Kind {
	case ParameterBuffer:
		return "sim::shim::Buffer<" + strconv.Itoa(p.Index) + ">"
	case ParameterThreadgroup:
		return "sim::shim::Threadgroup<" + strconv.Itoa(p.Index) + ">"
	}
	return "sim::shim::builtin::" + p.Builtin
}
