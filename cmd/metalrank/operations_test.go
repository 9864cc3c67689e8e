package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/cmd/cli/modelflags"
)

var ourVariable = regexp.MustCompile(cli.Environment + `_[A-Z_]+`)

// TestVariablesOfOperations wants the files that start servers to set only variables that "serve" has: it ignores others.
func TestVariablesOfOperations(t *testing.T) {
	parser, err := kong.New(&command{}, kong.Vars{"version": ""}, modelflags.Vars(), kong.DefaultEnvars(cli.Environment))
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, c := range parser.Model.Children {
		if c.Name == "serve" {
			for _, flag := range c.Flags {
				known = append(known, flag.Envs...)
			}
		}
	}
	for _, name := range []string{"compose.yaml", "kubernetes.yaml", "metalrank.nomad.hcl", "metalrank.rb"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations", name))
		if err != nil {
			t.Fatal(err)
		}
		found := ourVariable.FindAllString(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s sets no variable", name)
		}
		for _, variable := range found {
			if !slices.Contains(known, variable) {
				t.Errorf("%s: no flag of serve comes from %s", name, variable)
			}
		}
	}
}
