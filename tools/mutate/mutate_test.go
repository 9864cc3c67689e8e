package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/metal"
)

// TestMutantsApply: every mutant's text occurs once, and changes something; no two are the same.
func TestMutantsApply(t *testing.T) {
	texts := map[string]string{}
	for _, m := range mutants() {
		source, line, err := m.source()
		if err != nil {
			t.Error(err)
			continue
		}
		name := m.file + ": " + m.name
		if line < 10 {
			t.Errorf("%s: line %d is in the header comment", name, line)
		}
		if other, ok := texts[source.Text]; ok {
			t.Errorf("%s: the same as %s", name, other)
		}
		texts[source.Text] = name
	}
	if len(texts) < 40 {
		t.Errorf("%d mutants, want at least 40", len(texts))
	}
}

// TestSample runs one mutant of each net that catches any; `go run ./tools/mutate` runs all.
func TestSample(t *testing.T) {
	var chosen []mutant
	want := map[string]string{
		"pointer without address space":          "lint",
		"barrier removed":                        "checked mode",
		"last k left out":                        "numbers",
		"all groups write one place":             "checked mode",
		"too much threadgroup memory":            "lint",
		"barrier that not all reach":             "checked mode",
		"digits of a coefficient swapped":        "numbers",
		"absent SIMD-groups":                     "checked mode",
		"tiles overwritten before they are read": "checked mode",
	}
	for _, m := range mutants() {
		if _, ok := want[m.name]; ok {
			chosen = append(chosen, m)
		}
	}
	outcomes, err := judgeAll(t.Context(), chosen)
	if errors.Is(err, metal.ErrNoDevice) && os.Getenv("CI") != "true" {
		t.Skipf("no simulator: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range chosen {
		if o := outcomes[i]; o.by != want[m.name] {
			t.Errorf("%s: %s: caught by %q, want %q: %s", m.file, m.name, o.by, want[m.name], o.what)
		}
	}
	var table strings.Builder
	if err := tabulate(&table, chosen, outcomes); err != nil {
		t.Error(err)
	}
	t.Log("\n" + table.String())
}
