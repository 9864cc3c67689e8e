package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/tools/fetched"
)

// golangciVersion is the release of golangci-lint. Its rules are in .golangci.yml.
const golangciVersion = "v2.15.0"

// vetOther vets the files of the other platform, as far as that goes from here: packages that need neither cgo nor a
// package that does. Darwincheck looks at the others.
func (c *checker) vetOther(out io.Writer) error {
	other := "darwin"
	if runtime.GOOS == other {
		other = "linux"
	}
	variables := []string{"GOOS=" + other, "GOARCH=arm64"}
	list := func(cgo string, args ...string) (string, error) {
		var b strings.Builder
		err := c.command(&b, append(variables, "CGO_ENABLED="+cgo), "go", append([]string{"list", "-e"}, args...)...)
		return b.String(), err
	}
	// Packages of ours that are partly cgo do not compile without it.
	half, err := list("1", "-f", "{{if .CgoFiles}}{{.ImportPath}}{{end}}", "./...")
	if err != nil {
		return err
	}
	gone := map[string]bool{}
	for path := range strings.FieldsSeq(half) {
		gone[path] = true
	}
	// For each package and test: ours or not, the files that are left without cgo, its path, its dependencies.
	all, err := list("0", "-test", "-deps", "-f", "{{if not .Standard}}{{and .Module .Module.Main}} {{len .GoFiles}} "+
		"{{or .ForTest .ImportPath}}{{range .Deps}} {{.}}{{end}}{{end}}", "./...")
	if err != nil {
		return err
	}
	ours, without := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(all) {
		words := strings.Fields(line)
		if len(words) < 3 {
			continue
		}
		path, dependencies := words[2], words[3:]
		switch {
		case words[1] == "0":
			gone[path] = true // go list has dependencies before their users
		case gone[path] || words[0] != "true":
		default:
			ours[path] = true
			without[path] = without[path] || slices.ContainsFunc(dependencies, func(d string) bool { return gone[d] })
		}
	}
	args := []string{"vet"}
	for path := range ours {
		if !without[path] && !strings.HasSuffix(path, ".test") {
			args = append(args, path)
		}
	}
	if len(args) == 1 {
		return fmt.Errorf("no package was found that can be vetted for %s", other)
	}
	return c.command(out, append(variables, "CGO_ENABLED=0"), "go", args...)
}

// lint builds the pinned golangci-lint first, once: about five minutes on two cores.
func (c *checker) lint(out io.Writer) error {
	tools, err := fetched.Tools()
	if err != nil {
		return err
	}
	folder := filepath.Join(tools, "golangci-lint-"+golangciVersion)
	if err := fetched.Once(folder, func(unfinished string) error {
		fmt.Fprintf(os.Stderr, "check: building golangci-lint %s, once: about five minutes on two cores\n", golangciVersion)
		return c.command(out, []string{"CGO_ENABLED=0", "GOFLAGS=", "GOBIN=" + unfinished}, "go", "install",
			"github.com/golangci/golangci-lint/v2/cmd/golangci-lint@"+golangciVersion)
	}); err != nil {
		return err
	}
	return c.command(out, nil, filepath.Join(folder, "golangci-lint"), "run", "./...")
}
