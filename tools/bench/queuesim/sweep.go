package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/metalrank/metalrank/engine/schedule"
	"github.com/metalrank/metalrank/engine/schedule/simulate"
)

// parameter is a parameter of the scheduler that can be swept.
type parameter struct {
	name string
	set  func(c *simulate.Config, v float64)
}

func parameters() []parameter {
	return []parameter{
		{"lead", func(c *simulate.Config, v float64) { c.Overlap.Lead = v }},
		{"overlap", func(c *simulate.Config, v float64) { c.Overlap.Overlap = int(v) }},
	}
}

func parameterNames() []string {
	var names []string
	for _, p := range parameters() {
		names = append(names, p.name)
	}
	return names
}

// parseSweep reads NAME=V,V,…
func parseSweep(text string) (parameter, []float64, error) {
	name, list, _ := strings.Cut(text, "=")
	for _, p := range parameters() {
		if p.name != name {
			continue
		}
		var values []float64
		for text := range strings.SplitSeq(list, ",") {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || !(v > 0 && v <= 1000) {
				return parameter{}, nil, fmt.Errorf("-sweep: a value of %s is %q, want more than 0, at most 1000", name, text)
			}
			values = append(values, v)
		}
		return p, values, nil
	}
	return parameter{}, nil, fmt.Errorf("-sweep: there is no parameter %q, but %s", name, strings.Join(parameterNames(), ", "))
}

func (o *options) printSweep(out io.Writer) error {
	var results []result
	for _, s := range o.scenarios() {
		for _, v := range o.values {
			report, err := s.Run(o.Seed, simulate.Ours, func(c *simulate.Config) {
				c.Overlap = schedule.DefaultDevice()
				o.parameter.set(c, v)
			})
			if err != nil {
				return err
			}
			results = append(results, result{s, fmt.Sprintf("%s %g", o.parameter.name, v), report})
		}
	}
	printSummary(out, results)
	return nil
}
