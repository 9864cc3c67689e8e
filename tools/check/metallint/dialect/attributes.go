package dialect

import (
	"slices"
	"strings"

	"github.com/metalrank/metalrank/metal/msl"
)

// Attributes by where they may stand (Metal Shading Language Specification, "Attributes"). Package msl lists those on
// kernels' parameters.
var (
	anywhere   = []string{"maybe_unused", "nodiscard", "fallthrough", "likely", "unlikely", "deprecated"}
	onKernels  = []string{"kernel", "host_name", "max_total_threads_per_threadgroup"}
	onlyThere  = []string{"buffer", "threadgroup", "function_constant"}
	parameters = slices.Concat(onlyThere, msl.Builtins)
)

// attributes reports attributes that Metal does not have, or does not allow in that place.
func (c *checker) attributes() {
	for i := range c.tokens {
		if !c.isAttribute(i) {
			continue
		}
		closing := c.match(i)
		for j := i + 2; j < closing-1; j++ {
			first := j
			for j < closing-1 && !c.is(j, ",") && !c.is(j, "(") {
				j++ // clang::name is three tokens
			}
			c.attribute(first, c.file.Text[c.tokens[first].Span.Start:c.tokens[j-1].Span.End])
			if c.is(j, "(") {
				j = c.match(j) + 1
			}
		}
	}
}

// attribute checks the attribute with its name at token i.
func (c *checker) attribute(i int, name string) {
	at := c.tokens[i].Span.Start
	in := func(s msl.Span) bool { return s.Start <= at && at < s.End }
	known := slices.Contains(anywhere, name) || strings.HasPrefix(name, "clang::")
	for _, k := range c.file.Kernels {
		inParameters := slices.ContainsFunc(k.Parameters, func(p msl.Parameter) bool { return in(p.Span) })
		switch {
		case !in(msl.Span{Start: k.Span.Start, End: k.Body.Start}):
		case inParameters:
			known = known || slices.Contains(parameters, name)
		default:
			known = known || slices.Contains(onKernels, name)
		}
	}
	for _, s := range c.file.Instantiations {
		known = known || in(s.Span) && (slices.Contains(onKernels, name) || slices.Contains(parameters, name))
	}
	for _, f := range c.file.Constants {
		known = known || in(f.Span) && name == "function_constant"
	}
	switch {
	case known:
	case slices.Contains(parameters, name) || slices.Contains(onKernels, name):
		c.report(at, Attributes, "%s means nothing here: it belongs to a kernel", name)
	default:
		c.report(at, Attributes, "Metal has no attribute %s here", name)
	}
}
