package dialect

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/metalrank/metalrank/metal/msl"
)

// Highest indices (Metal Feature Set Tables, "Maximum number of entries in the buffer argument table" and
// "… threadgroup memory argument table": 31 each; function constants have 16 bits).
const (
	maxBufferIndex      = 30
	maxThreadgroupIndex = 30
)

// syntax reports why package msl could not read the text.
func (c *checker) syntax(err error) error {
	failure, ok := errors.AsType[*msl.Error](err)
	if !ok {
		return err
	}
	rule := Compile
	for _, known := range []struct {
		text string
		rule Rule
	}{
		{"address space", AddressSpace}, {"threadgroup variable", Threadgroup}, {"two kernels", Catalogue}, {"ndex", Index},
		{"attribute", Attributes}, {"function_constant", Attributes},
	} {
		if strings.Contains(failure.Message, known.text) {
			rule = known.rule
			break
		}
	}
	c.reportLine(failure.Position.File, failure.Position.Line, rule, "%s", failure.Message)
	return nil
}

// kernels checks the head of every kernel.
func (c *checker) kernels() {
	for i := range c.file.Kernels {
		k := &c.file.Kernels[i]
		seen := map[msl.ParameterKind]map[int]string{msl.ParameterBuffer: {}, msl.ParameterThreadgroup: {}}
		builtins := map[string]string{}
		for j := range k.Parameters {
			p := &k.Parameters[j]
			c.binding(p)
			if p.Kind == msl.ParameterBuiltin {
				c.builtin(p)
				if other, found := builtins[p.Builtin]; found {
					c.report(p.Span.Start, Attributes, "%s is %s as %s is already", p.Name, p.Builtin, other)
				}
				builtins[p.Builtin] = p.Name
				continue
			}
			if other, found := seen[p.Kind][p.Index]; found {
				c.report(p.Span.Start, Index, "%s has index %d, which %s has already", p.Name, p.Index, other)
			}
			seen[p.Kind][p.Index] = p.Name
		}
		if threads, err := strconv.Atoi(k.MaxThreads); err == nil && (threads < 1 || threads > 1024) {
			c.report(k.Span.Start, Attributes, "max_total_threads_per_threadgroup(%d), want 1 to 1024", threads)
		}
	}
}

// binding checks that a parameter has one attribute that binds it, and that the attribute suits its type.
func (c *checker) binding(p *msl.Parameter) {
	at := p.Span.Start
	var bound []string
	for _, a := range p.Attributes {
		switch {
		case a.Name == "buffer" || a.Name == "threadgroup" || slices.Contains(msl.Builtins, a.Name):
			bound = append(bound, a.Name)
		case a.Name == "function_constant":
			if !slices.ContainsFunc(c.file.Constants, func(f msl.FunctionConstant) bool { return f.Name == a.Argument }) &&
				!slices.ContainsFunc(c.file.Derived, func(d msl.DerivedConstant) bool { return d.Name == a.Argument }) {
				c.report(at, Attributes, "%s depends on %s, which is no function constant", p.Name, a.Argument)
			}
		}
	}
	switch {
	case len(bound) != 1:
		c.report(at, Attributes, "%s has %d attributes that bind it, want 1", p.Name, len(bound))
	case bound[0] == "buffer" && p.AddressSpace == "threadgroup":
		c.report(at, AddressSpace, "%s is in threadgroup memory, want the attribute threadgroup(%d)", p.Name, p.Index)
	case bound[0] == "threadgroup" && p.AddressSpace != "threadgroup":
		c.report(at, AddressSpace, "%s is in %s memory, want the attribute buffer(%d)", p.Name, p.AddressSpace, p.Index)
	case p.Kind == msl.ParameterBuffer && p.Index > maxBufferIndex:
		c.report(at, Index, "%s has buffer index %d, the highest is %d", p.Name, p.Index, maxBufferIndex)
	case p.Kind == msl.ParameterThreadgroup && p.Index > maxThreadgroupIndex:
		c.report(at, Index, "%s has threadgroup index %d, the highest is %d", p.Name, p.Index, maxThreadgroupIndex)
	}
}

// Types that a builtin may have (Metal Shading Language Specification, "Attributes for Kernel Function Input
// Arguments").
var (
	positionTypes = []string{"uint", "uint2", "uint3", "ushort", "ushort2", "ushort3"}
	scalarTypes   = []string{"uint", "ushort"}
)

// builtin checks the type of a position or a size.
func (c *checker) builtin(p *msl.Parameter) {
	if strings.ContainsAny(p.Text, "*&") {
		c.report(p.Span.Start, Attributes, "%s: %s is passed by value", p.Name, p.Builtin)
		return
	}
	words := strings.Fields(p.Text)
	if len(words) > 0 {
		words = words[:len(words)-1] // the name
	}
	words = slices.DeleteFunc(words, func(w string) bool { return w == "const" })
	got := strings.TrimPrefix(strings.Join(words, " "), "metal::")
	got = strings.NewReplacer("uint32_t", "uint", "uint16_t", "ushort", "unsigned int", "uint", "unsigned short", "ushort").Replace(got)
	want := scalarTypes
	switch p.Builtin {
	case "thread_position_in_grid", "thread_position_in_threadgroup", "threadgroup_position_in_grid",
		"threads_per_grid", "threads_per_threadgroup", "threadgroups_per_grid", "dispatch_threads_per_threadgroup":
		want = positionTypes
	}
	if !slices.Contains(want, got) {
		c.report(p.Span.Start, Attributes, "%s: %s is %s, want %s", p.Name, p.Builtin, strings.Join(words, " "),
			strings.Join(want, ", "))
	}
}

// constantTypes are those that package metal can set.
var constantTypes = []string{"bool", "int", "uint", "float"}

// constants checks function constants.
func (c *checker) constants() {
	seen := map[uint32]string{}
	for _, f := range c.file.Constants {
		if other, found := seen[f.Index]; found {
			c.report(f.Span.Start, Index, "%s is function constant %d, which %s is already", f.Name, f.Index, other)
		}
		seen[f.Index] = f.Name
		if !slices.Contains(constantTypes, f.Type) {
			c.report(f.Span.Start, Attributes, "function constant %s is %s, want %s", f.Name, f.Type, strings.Join(constantTypes, ", "))
		}
		if !strings.Contains(c.file.Slice(f.Span), "constant ") {
			c.report(f.Span.Start, AddressSpace, "function constant %s is not in constant memory", f.Name)
		}
	}
}
