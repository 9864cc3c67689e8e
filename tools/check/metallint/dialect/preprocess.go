package dialect

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
)

//go:embed macros.h
var macros string

// anyInclude matches every #include.
var anyInclude = regexp.MustCompile(`^\s*#\s*include\s*([<"])([^>"]*)[>"]`)

// headers are those of Metal's library that a compute kernel may include (Metal Shading Language Specification,
// chapter 6).
var headers = []string{
	"metal_array", "metal_assert", "metal_atomic", "metal_common", "metal_compute", "metal_config", "metal_geometric",
	"metal_integer", "metal_limits", "metal_logging", "metal_math", "metal_matrix", "metal_numeric", "metal_pack", "metal_packed_vector",
	"metal_quadgroup", "metal_relational", "metal_simdgroup", "metal_simdgroup_matrix", "metal_stdlib", "metal_type_traits",
	"metal_types", "metal_uniform", "metal_utility",
}

// includes reports files that no Metal compiler would find: a header of C++, or a file that LoadSource has not put in.
func (c *checker) includes() {
	for _, file := range c.source.order {
		for i, text := range c.source.files[file] {
			include := anyInclude.FindStringSubmatch(text)
			switch {
			case include == nil:
			case include[1] == `"`:
				c.reportLine(file, i+1, Library, "#include %q is still to be put in: use metal.LoadSource", include[2])
			case !slices.Contains(headers, include[2]):
				c.reportLine(file, i+1, Library, "#include <%s>: Metal has no such header", include[2])
			}
		}
	}
}

// preprocess expands macros and drops comments. It drops every #include: decl_*.h stand for all of Metal's headers. It
// returns an empty text where it has reported errors.
func (c *checker) preprocess() (string, error) {
	var text strings.Builder
	text.WriteString(macros)
	fmt.Fprintf(&text, "#line 1 %q\n", c.source.main)
	for line := range strings.Lines(c.source.text) {
		if anyInclude.MatchString(line) {
			line = "\n"
		}
		text.WriteString(line)
	}
	stdout, stderr, err := c.clang(text.String(), "-E", "-undef", "-w", "-fno-caret-diagnostics", "-ferror-limit=20")
	if err != nil {
		return "", err
	}
	failed := false
	for _, d := range parseDiagnostics(stderr) {
		if d.severity == "error" {
			c.reportLine(d.file, d.line, Compile, "%s", d.message)
			failed = true
		}
	}
	if failed {
		return "", nil
	}
	// The macros leave blank lines: begin with the source.
	if i := strings.Index(stdout, fmt.Sprintf("# 1 %q", c.source.main)); i >= 0 {
		stdout = stdout[i:]
	}
	return stdout, nil
}

// clang runs the compiler on text. Errors in text are in stderr, not in err.
func (c *checker) clang(text string, args ...string) (stdout, stderr string, err error) {
	// One target, so that every machine finds the same.
	common := []string{"-x", "c++", "-std=c++17", "--target=x86_64-unknown-linux-gnu", "-nostdinc"}
	command := exec.CommandContext(c.ctx, c.compiler, append(append(common, args...), "-")...)
	var out, complaints bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(text), &out, &complaints
	err = command.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		err = nil
	}
	if err != nil {
		return "", "", fmt.Errorf("metallint: %s: %w: %s", path.Base(c.compiler), err, complaints.String())
	}
	return out.String(), complaints.String(), context.Cause(c.ctx)
}
