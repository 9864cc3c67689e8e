package msl

import (
	"slices"
	"strconv"
	"strings"
)

// Builtins are the attributes that bind a parameter to a position or a size (Metal Shading Language Specification,
// "Attributes for Kernel Function Input Arguments"), as far as the simulator has them.
var Builtins = []string{
	"dispatch_quadgroups_per_threadgroup", "dispatch_simdgroups_per_threadgroup", "dispatch_threads_per_threadgroup",
	"quadgroup_index_in_threadgroup", "quadgroups_per_threadgroup", "simdgroup_index_in_threadgroup",
	"simdgroups_per_threadgroup", "thread_execution_width", "thread_index_in_quadgroup", "thread_index_in_simdgroup",
	"thread_index_in_threadgroup", "thread_position_in_grid", "thread_position_in_threadgroup",
	"threadgroup_position_in_grid", "threadgroups_per_grid", "threads_per_grid", "threads_per_simdgroup",
	"threads_per_threadgroup",
}

// kernel notes the definition of a kernel.
func (p *parser) kernel(d declaration, all attributes) error {
	k := Kernel{
		Scope: d.scope, Attributes: all,
		Span: Span{p.tokens[d.start].at, p.tokens[d.bodyEnd].end()},
		Body: Span{p.tokens[d.body].at, p.tokens[d.bodyEnd].end()},
	}
	i := d.start
	if p.is(i, "template") {
		closing, err := p.matchAngle(i+1, d.head)
		if err != nil {
			return err
		}
		k.Template = &Template{Parameters: p.templateParameters(i+2, closing), Span: Span{p.tokens[i].at, p.tokens[closing].end()}}
		i = closing + 1
	}
	if a := all.find("max_total_threads_per_threadgroup"); a != nil {
		k.MaxThreads = a.Argument
	}
	for !p.is(i, "void") {
		if i++; i >= d.head {
			return p.errorf(k.Span.Start, "a kernel must return void")
		}
	}
	i++
	if p.tokens[i].kind != tokenName || !p.is(i+1, "(") {
		return p.errorf(p.tokens[i].at, "unexpected %s, want the name of a kernel", p.tokens[i].text)
	}
	k.Name, k.Position = p.tokens[i].text, p.Position(p.tokens[i].at)
	closing, err := p.match(i+1, d.head)
	if err != nil {
		return err
	}
	if err := p.parameters(&k, i+2, closing); err != nil {
		return err
	}
	if k.Variables, err = p.threadgroupVariables(d.body, d.bodyEnd); err != nil {
		return err
	}
	p.Kernels = append(p.Kernels, k)
	return nil
}

// split cuts tokens at the commas outside all brackets.
func (f *File) split(start, end int) [][2]int {
	var parts [][2]int
	from := start
	for i := start; i < end; i++ {
		closing, err := i, error(nil)
		switch f.tokens[i].text {
		case "(", "[", "{":
			closing, err = f.match(i, end)
		case "<":
			closing, err = f.matchAngle(i, end)
		case ",":
			parts, from = append(parts, [2]int{from, i}), i+1
		}
		if err == nil {
			i = closing
		}
	}
	if from < end {
		parts = append(parts, [2]int{from, end})
	}
	return parts
}

// templateParameters lists the names in a template's head.
func (f *File) templateParameters(start, end int) []string {
	var names []string
	for _, part := range f.split(start, end) {
		name, pack := "", ""
		for i := part[0]; i < part[1] && !f.is(i, "="); i++ {
			if f.tokens[i].kind == tokenName {
				name = f.tokens[i].text
			}
			if f.is(i, ".") {
				pack = "..."
			}
		}
		names = append(names, name+pack)
	}
	return names
}

// parameters notes a kernel's parameters, between two tokens. Those without an index get the next free one, as in
// Metal.
func (p *parser) parameters(k *Kernel, start, end int) error {
	for _, part := range p.split(start, end) {
		parameter, err := p.parameter(part[0], part[1])
		if err != nil {
			return err
		}
		if parameter.Index < 0 {
			for _, other := range k.Parameters {
				if other.Kind == parameter.Kind {
					parameter.Index = max(parameter.Index, other.Index)
				}
			}
			parameter.Index++
		}
		k.Parameters = append(k.Parameters, parameter)
	}
	return nil
}

func (p *parser) parameter(start, end int) (Parameter, error) {
	r := Parameter{Index: -1, Span: Span{p.tokens[start].at, p.tokens[end-1].end()}}
	all, err := p.headAttributes(start, end)
	if err != nil {
		return r, err
	}
	r.Attributes = all
	pointer := false
	for i := start; i < end && !p.isAttribute(i); i++ {
		t := p.tokens[i]
		if i > start && t.at > p.tokens[i-1].end() {
			r.Text += " "
		}
		r.Text += t.text
		switch {
		case t.text == "device" || t.text == "constant" || t.text == "threadgroup":
			r.AddressSpace = t.text
		case t.kind == tokenName:
			r.Name = t.text
		}
		pointer = pointer || t.text == "*"
		r.Reference = r.Reference || t.text == "&"
	}
	r.Reference = r.Reference && !pointer
	return r, p.bind(&r, pointer)
}

// bind sets a parameter's binding: its kind, index, builtin and condition.
func (p *parser) bind(r *Parameter, pointer bool) error {
	for _, a := range r.Attributes {
		switch {
		case slices.Contains(Builtins, a.Name):
			r.Kind, r.Builtin, r.Index = ParameterBuiltin, a.Name, 0
			return nil
		case a.Name == "buffer" || a.Name == "threadgroup":
			index, err := strconv.ParseUint(a.Argument, 0, 8)
			if err != nil {
				return p.errorf(a.Span.Start, "%s(%s): the index must be a number", a.Name, a.Argument)
			}
			r.Index = int(index)
		case a.Name == "function_constant":
			r.Condition = a.Argument
		default:
			return p.errorf(a.Span.Start, "attribute %s of parameter %s is not known", a.Name, r.Name)
		}
	}
	if !pointer && !r.Reference {
		return p.errorf(r.Span.Start, "parameter %s is neither a pointer or reference nor has an attribute", strings.TrimSpace(r.Text))
	}
	if r.AddressSpace == "" {
		return p.errorf(r.Span.Start, "parameter %s has no address space", strings.TrimSpace(r.Text))
	}
	if r.Kind = ParameterBuffer; r.AddressSpace == "threadgroup" {
		r.Kind = ParameterThreadgroup
	}
	return nil
}

// instantiation notes template [[host_name("x")]] [[kernel]] decltype(f<T>) f<T>; or … void f<T>(…);
func (p *parser) instantiation(d declaration, all attributes) error {
	r := Instantiation{
		Span:     Span{p.tokens[d.start].at, p.tokens[d.end-1].end()},
		Position: p.Position(p.tokens[d.start].at),
	}
	i, end := d.start+1, d.end-1
	for i < end && !p.is(i, "decltype") && !p.is(i, "void") {
		if p.isAttribute(i) {
			_, next, err := p.attributeList(i, end)
			if err != nil {
				return err
			}
			i = next
			continue
		}
		i++
	}
	if p.is(i, "decltype") && p.is(i+1, "(") {
		closing, err := p.match(i+1, end)
		if err != nil {
			return err
		}
		i = closing
	}
	i++
	from := i
	for i < end && !p.is(i, "(") && !p.is(i, "<") {
		if p.tokens[i].kind == tokenName {
			r.Function = p.tokens[i].text
		}
		i++
	}
	if p.is(i, "<") {
		closing, err := p.matchAngle(i, end)
		if err != nil {
			return err
		}
		i = closing + 1
	}
	if r.Function == "" {
		return p.errorf(r.Span.Start, "an instantiation names no kernel")
	}
	if r.Target = p.join(from, i); !strings.Contains(r.Target[:strings.IndexByte(r.Target+"<", '<')], "::") {
		r.Target = d.scope + r.Target
	}
	if r.HostName = r.Target; all.find("host_name") != nil {
		r.HostName = all.find("host_name").Argument
	}
	p.Instantiations = append(p.Instantiations, r)
	return nil
}

// enter lists the kernels of the library.
func (p *parser) enter() error {
	for i := range p.Kernels {
		if k := &p.Kernels[i]; k.Template == nil {
			name := k.Name
			if host := attributes(k.Attributes).find("host_name"); host != nil {
				name = host.Argument
			}
			p.entries = append(p.entries, Entry{name, k.Scope + k.Name, k, k.Position})
		}
	}
	for _, i := range p.Instantiations {
		k := slices.IndexFunc(p.Kernels, func(k Kernel) bool { return k.Name == i.Function && k.Template != nil })
		if k < 0 {
			return &Error{i.Position, i.Target + " instantiates no kernel of this library"}
		}
		p.entries = append(p.entries, Entry{i.HostName, i.Target, &p.Kernels[k], i.Position})
	}
	seen := map[string]bool{}
	for _, e := range p.entries {
		if seen[e.HostName] {
			return &Error{e.Position, "two kernels are named " + e.HostName}
		}
		seen[e.HostName] = true
	}
	return nil
}
