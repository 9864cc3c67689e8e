package main

import (
	"errors"
	"io"
	"io/fs"
	"log"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/metal"
)

// leastMutants is the least number of mutants of each set.
var leastMutants = map[string]int{"metaltest": 90, "kernels": 150}

// TestMutantsApply: every mutant's text occurs once, and changes something; no two are the same.
func TestMutantsApply(t *testing.T) {
	for _, s := range sets() {
		texts := map[string]string{}
		for _, m := range s.mutants {
			files, defect, err := m.spoil(s.files)
			if err != nil {
				t.Error(err)
				continue
			}
			text, err := fs.ReadFile(files, m.file)
			if err != nil {
				t.Fatal(err)
			}
			name := s.name + "/" + m.file + ": " + m.name
			if strings.HasPrefix(strings.Split(string(text), "\n")[defect.line-1], "//") {
				t.Errorf("%s: line %d is a comment", name, defect.line)
			}
			key := m.file + "\n" + string(text)
			if other, ok := texts[key]; ok {
				t.Errorf("%s: the same as %s", name, other)
			}
			texts[key] = name
		}
		if len(texts) < leastMutants[s.name] {
			t.Errorf("%s: %d mutants, want at least %d", s.name, len(texts), leastMutants[s.name])
		}
	}
}

// TestShaders: a header is judged through the files that include it, directly or not.
func TestShaders(t *testing.T) {
	for _, s := range sets() {
		if s.name != "kernels" {
			continue
		}
		for file, want := range map[string][]string{
			"norm.metal": {"norm.metal"},
			"norm.h":     {"embed.metal", "norm.metal"},
			"rownorm.h": {
				"gemm_norm.metal", "gemm_norm_quant.metal", "gemm_norm_quant_variants.metal", "gemm_norm_variants.metal", "head.metal",
			},
		} {
			got, err := s.shaders(file)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s goes into %v, want %v", file, got, want)
			}
		}
	}
}

// TestSample runs one mutant for each check that catches any; `go run ./tools/check/mutate` runs all.
func TestSample(t *testing.T) {
	if testing.Short() {
		t.Skip("judges a dozen mutants, half a minute")
	}
	want := map[string]string{ // by set, and name
		"metaltest/pointer without address space":          "lint",
		"metaltest/barrier removed":                        "checked mode",
		"metaltest/last k left out":                        "numbers",
		"metaltest/all groups write one place":             "checked mode",
		"metaltest/too much threadgroup memory":            "lint",
		"metaltest/barrier that not all reach":             "checked mode",
		"metaltest/digits of a coefficient swapped":        "numbers",
		"metaltest/absent SIMD-groups":                     "checked mode",
		"metaltest/tiles overwritten before they are read": "checked mode",
		"kernels/words without address space":              "lint",
		"kernels/keys read before they are there":          "checked mode",
		"kernels/total not rescaled":                       "numbers",
	}
	for _, s := range sets() {
		var chosen []mutant
		for _, m := range s.mutants {
			if _, ok := want[s.name+"/"+m.name]; ok {
				chosen = append(chosen, m)
			}
		}
		outcomes, err := judgeAll(t.Context(), s, chosen, log.New(io.Discard, "", 0))
		if errors.Is(err, metal.ErrNoDevice) && os.Getenv("CI") != "true" {
			t.Skipf("no simulator: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range chosen {
			if o := outcomes[i]; o.by != want[s.name+"/"+m.name] {
				t.Errorf("%s/%s: %s: caught by %q, want %q: %s", s.name, m.file, m.name, o.by, want[s.name+"/"+m.name], o.what)
			}
		}
		var table strings.Builder
		if err := tabulate(&table, s, chosen, outcomes); err != nil {
			t.Error(err)
		}
		t.Log("\n" + table.String())
	}
}
