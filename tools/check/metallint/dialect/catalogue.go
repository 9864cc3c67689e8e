package dialect

import (
	"slices"

	"github.com/metalrank/metalrank/metal/msl"
)

// kernelName is a kernel's name as Go code knows it.
type kernelName struct {
	name string
	at   int // in the preprocessed text
}

// named lists the kernels that a pipeline can be made of. Templates without an instance are not among them.
func named(file *msl.File) []kernelName {
	var all []kernelName
	for _, k := range file.Kernels {
		if k.Template == nil {
			name := k.Name
			for _, a := range k.Attributes {
				if a.Name == "host_name" {
					name = a.Argument
				}
			}
			all = append(all, kernelName{name, k.Span.Start})
		}
	}
	for _, i := range file.Instantiations {
		all = append(all, kernelName{i.HostName, i.Span.Start})
	}
	return all
}

// catalogue checks that every kernel's name occurs once and is launched, and that every template is instantiated.
func (c *checker) catalogue() {
	seen := map[string]bool{}
	for _, k := range named(c.file) {
		switch {
		case seen[k.name]:
			c.report(k.at, Catalogue, "two kernels are named %s", k.name)
		case c.options.Kernels != nil && !slices.Contains(c.options.Kernels, k.name):
			c.report(k.at, Catalogue, "nobody launches kernel %s", k.name)
		}
		seen[k.name] = true
		c.names = append(c.names, k.name)
	}
	for _, k := range c.file.Kernels {
		isOf := func(i msl.Instantiation) bool { return i.Function == k.Name }
		if k.Template != nil && !slices.ContainsFunc(c.file.Instantiations, isOf) {
			c.report(k.Span.Start, Catalogue, "kernel template %s is never instantiated", k.Name)
		}
	}
	for _, i := range c.file.Instantiations {
		if !slices.ContainsFunc(c.file.Kernels, func(k msl.Kernel) bool { return k.Name == i.Function }) {
			c.report(i.Span.Start, Catalogue, "%s instantiates no kernel of this source", i.Target)
		}
	}
}
