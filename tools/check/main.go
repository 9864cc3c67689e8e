// Check runs everything besides the tests that must hold before a commit: format, vet, lint, layering, the macOS code, the
// shaders' dialect, the size of the program, and a tree that `go generate` leaves as it is. `./build.sh check` runs it in the
// root of the repository, with bin/metalrank built. Arguments name the steps to run; without any, all run.
//
// Exit status: 0 all is well, 1 a step failed, 2 wrong usage.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/cmd/cli"
)

// step is one check. It writes the problems that it finds to out, and returns an error if there are any.
type step struct {
	name string
	run  func(c *checker, out io.Writer) error
}

// steps are in the order of their cost, but for the last, which sees the files that the others have changed.
var steps = []step{
	{"gofmt", (*checker).gofmt},
	{"vet", goStep("vet", "./...")},
	{"vet-other", (*checker).vetOther},
	{"darwin", goStep("run", "./tools/check/darwincheck")},
	{"darwin-link", goStep("run", "./tools/check/darwincheck", "link")},
	{"metallint", goStep("run", "./tools/check/metallint", "--house", "metal/metaltest/kernels", "kernels", "metal/peaks")},
	{"registers", goStep("run", "./tools/check/registers")},
	{"lint", (*checker).lint},
	{"clang-format", (*checker).clangFormat},
	{"shell", (*checker).shell},
	{"workflows", (*checker).workflows},
	{"tidy", goStep("mod", "tidy", "-diff")},
	{"notice", goStep("run", "./tools/release", "notice")},
	{"layering", goStep("test", "-count=1", "./tools/check/layering")},
	{"size", (*checker).size},
	{"docs", (*checker).docs},
	{"tree", (*checker).tree},
}

// goStep runs the go command.
func goStep(args ...string) func(*checker, io.Writer) error {
	return func(c *checker, out io.Writer) error { return c.command(out, nil, "go", args...) }
}

// checker is the state of a run.
type checker struct {
	ctx    context.Context
	before map[string]string // of every file that git does not ignore, a digest; see treeState
}

func main() { cli.Main(run) }

func run(ctx context.Context, names []string, std cli.Streams) int {
	for _, name := range names {
		if !slices.ContainsFunc(steps, func(s step) bool { return s.name == name }) {
			fmt.Fprintf(std.Err, "check: no step %q\nusage: check [STEP...], of:", name)
			for _, s := range steps {
				fmt.Fprintf(std.Err, " %s", s.name)
			}
			fmt.Fprintln(std.Err)
			return 2
		}
	}
	c := &checker{ctx: ctx}
	var err error
	if c.before, err = c.treeState(); err != nil {
		fmt.Fprintln(std.Err, "check:", err)
		return 1
	}
	status := 0
	for _, s := range steps {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		var out bytes.Buffer
		if err := s.run(c, &out); err != nil {
			fmt.Fprintf(std.Out, "FAIL  %s: %v\n", s.name, err)
			for line := range strings.Lines(out.String()) {
				fmt.Fprint(std.Out, "      ", line)
			}
			status = 1
			continue
		}
		fmt.Fprintf(std.Out, "ok    %s\n", s.name)
	}
	return status
}

// command runs a program with variables added to the environment; its output goes to out.
func (c *checker) command(out io.Writer, variables []string, name string, args ...string) error {
	command := exec.CommandContext(c.ctx, name, args...)
	command.Env = append(os.Environ(), variables...)
	command.Stdout, command.Stderr = out, out
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args[:min(len(args), 2)], " "), err)
	}
	return nil
}

// output returns the standard output of a program.
func (c *checker) output(name string, args ...string) (string, error) {
	var stderr bytes.Buffer
	command := exec.CommandContext(c.ctx, name, args...)
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args[:min(len(args), 2)], " "), err, stderr.String())
	}
	return string(out), err
}

// files returns the files that match git's patterns, tracked or about to be.
func (c *checker) files(patterns ...string) ([]string, error) {
	out, err := c.output("git", append([]string{"ls-files", "--cached", "--others", "--exclude-standard", "-z", "--"}, patterns...)...)
	files := strings.FieldsFunc(out, func(r rune) bool { return r == 0 })
	return slices.DeleteFunc(files, func(file string) bool {
		info, err := os.Lstat(file)
		return err != nil || !info.Mode().IsRegular()
	}), err
}
