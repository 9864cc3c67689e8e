package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/metalrank/metalrank/metal"
)

// oldestClang is the oldest clang that has the C++ and the builtins of the shim. Apple has its own numbers: 17 is made
// from LLVM 19.
const (
	oldestClang      = 19
	oldestAppleClang = 17
)

// compiler is a clang++ that can build for the simulator.
type compiler struct {
	path    string
	version string // the first line of --version
}

var clangVersion = regexp.MustCompile(`(Apple clang|clang) version (\d+)`)

// findCompiler returns the compiler that is asked for, or the first that is new enough. Errors wrap metal.ErrNoDevice.
func findCompiler(asked string) (compiler, error) {
	if asked == "" {
		asked = os.Getenv("METALRANK_CLANG")
	}
	candidates := []string{
		"clang++-19", "clang++-20", "clang++-21", "clang++-22", "clang++",
		"/opt/homebrew/opt/llvm/bin/clang++", "/usr/local/opt/llvm/bin/clang++",
	}
	if asked != "" {
		candidates = []string{asked}
	}
	var reasons []error
	for _, name := range candidates {
		c, err := tryCompiler(name)
		if err == nil {
			return c, nil
		}
		if asked != "" || !errors.Is(err, exec.ErrNotFound) {
			reasons = append(reasons, err)
		}
	}
	return compiler{}, fmt.Errorf("%w: the simulator needs clang++ %d or newer: install clang-19 (Debian: apt install clang-19; "+
		"macOS: brew install llvm) or set METALRANK_CLANG: %w", metal.ErrNoDevice, oldestClang, errors.Join(reasons...))
}

func tryCompiler(name string) (compiler, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return compiler{}, err
	}
	version, err := versionOf(path)
	if err != nil {
		return compiler{}, err
	}
	found := clangVersion.FindStringSubmatch(version)
	if found == nil {
		return compiler{}, fmt.Errorf("%s is no clang: %q", path, version)
	}
	oldest := oldestClang
	if found[1] == "Apple clang" {
		oldest = oldestAppleClang
	}
	if major, _ := strconv.Atoi(found[2]); major < oldest {
		return compiler{}, fmt.Errorf("%s is too old: %q, want %d", path, version, oldest)
	}
	return compiler{path, version}, nil
}

// versions holds the first line of --version of each clang++ that this process has run: clang takes longer to print it than
// a device takes to open.
var versions sync.Map // of strings, by path

func versionOf(path string) (string, error) {
	known, _ := versions.Load(path)
	if version, ok := known.(string); ok {
		return version, nil
	}
	out, err := exec.CommandContext(context.Background(), path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", path, err)
	}
	version, _, _ := strings.Cut(string(out), "\n")
	versions.Store(path, version)
	return version, nil
}

// run runs clang++ with text on its standard input, and returns its output. The text of an error is clang's messages.
func (c compiler) run(text string, arguments ...string) (string, error) {
	command := exec.CommandContext(context.Background(), c.path, arguments...)
	command.Stdin = strings.NewReader(text)
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	if err := command.Run(); err != nil {
		if complaints.Len() == 0 {
			return "", fmt.Errorf("sim: %s: %w", c.path, err)
		}
		return "", errors.New(complaints.String())
	}
	return out.String(), nil
}

// complaint matches a message of clang about a line: file:line:column: error: text.
var complaint = regexp.MustCompile(`(?m)^([^:\n]+):(\d+):\d+: (?:fatal )?(error|note): (.*)$`)

// compileError turns clang's output into a CompileError. Its place is the first that isn't in the shim: for an error
// inside the shim, this is the line of the kernel that led there.
func compileError(log, shim string) *metal.CompileError {
	e := &metal.CompileError{Log: log}
	first := true
	for _, m := range complaint.FindAllStringSubmatch(log, -1) {
		if m[3] == "error" && !first && e.File != "" {
			break
		}
		first = false
		if inside, err := filepath.Rel(shim, m[1]); err == nil && !strings.HasPrefix(inside, "..") {
			continue
		}
		if e.File == "" {
			e.File = m[1]
			e.Line, _ = strconv.Atoi(m[2])
		}
	}
	return e
}

// FindCompiler returns the path of the clang++ that Open uses with asked, a path or a command's name, as
// Config.Compiler. Errors wrap metal.ErrNoDevice.
func FindCompiler(asked string) (string, error) {
	c, err := findCompiler(asked)
	return c.path, err
}
