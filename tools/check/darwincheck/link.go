package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/tools/fetched"
)

const (
	probe           = module + "/tools/check/darwincheck/probe"
	darwinkitModule = "github.com/progrium/darwinkit"
	// target is arm64 at macOS 13. The driver uses one newer feature, Metal 3.1, and looks for it at run time.
	target = "aarch64-macos.13.0"
)

// A toolchain compiles and links for darwin/arm64.
type toolchain struct {
	zig   string // the program
	sdk   string // the stub SDK's folder
	cache string // zig's own cache folder
}

// newToolchain writes the stub SDK, and fetches zig where it is not there yet.
func newToolchain(ctx context.Context, progress io.Writer) (*toolchain, error) {
	cache, err := fetched.Cache()
	if err != nil {
		return nil, err
	}
	// Only builds for darwin need this module, so that it may not be there yet.
	output, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", darwinkitModule).Output()
	if err != nil {
		return nil, fmt.Errorf("go mod download %s: %w", darwinkitModule, err)
	}
	var darwinkit struct{ Dir string }
	if err := json.Unmarshal(output, &darwinkit); err != nil {
		return nil, fmt.Errorf("go mod download %s: %w", darwinkitModule, err)
	}
	sdk, err := writeSDK(cache, darwinkit.Dir)
	if err != nil {
		return nil, err
	}
	zig, err := fetched.Zig(ctx, progress)
	return &toolchain{zig: zig, sdk: sdk, cache: filepath.Join(cache, "zig")}, err
}

// compiler returns the command line of the C compiler.
func (t *toolchain) compiler() []string {
	return []string{
		t.zig, "cc", "-target", target,
		"-isystem", filepath.Join(t.sdk, "usr", "include"),
		"-F" + filepath.Join(t.sdk, filepath.FromSlash(frameworkFolder)),
		"-L" + filepath.Join(t.sdk, "usr", "lib"),
		// A message that the receiver's type does not have is only a warning to clang.
		"-Werror=objc-method-access",
	}
}

// environment makes the go command use the compiler.
func (t *toolchain) environment() []string {
	return append(os.Environ(), t.variables()...)
}

// variables are those that environment adds.
func (t *toolchain) variables() []string {
	quoted := t.compiler()
	for i, word := range quoted {
		quoted[i] = "'" + word + "'" // as the go command splits $CC; no cache folder has an apostrophe in it
	}
	return append(darwinVariables(), t.zigCache(), "CC="+strings.Join(quoted, " "),
		"CGO_CFLAGS=-O1", "CGO_LDFLAGS=") // the environment's may be for this system
}

func (t *toolchain) zigCache() string { return "ZIG_GLOBAL_CACHE_DIR=" + t.cache }

// A buildError holds the output of the compiler, cgo or the linker where the code is at fault.
type buildError struct{ log string }

func (e *buildError) Error() string { return e.log }

// build links a package into an executable. overlay, for tests, is a file as `go build -overlay` takes it; empty: none.
// Errors: *buildError where the code is at fault.
func (t *toolchain) build(ctx context.Context, packagePath, executable, overlay string) error {
	// Without -w the go command calls dsymutil. Without external linking it does not call zig: package main has no C.
	command := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-overlay="+overlay,
		"-ldflags=-s -w -linkmode=external", "-o", executable, packagePath)
	command.Env = t.environment()
	return t.run(command)
}

// vet type-checks packages with their tests, the real types of C included.
func (t *toolchain) vet(ctx context.Context, packagePaths ...string) error {
	command := exec.CommandContext(ctx, "go", append([]string{"vet"}, packagePaths...)...)
	command.Env = t.environment()
	return t.run(command)
}

// compile makes an object file of one Objective-C file, with every warning an error. flags are the package's. The
// object file names all messages: for a runtime this old the compiler doesn't turn `retain` and its like into calls.
func (t *toolchain) compile(ctx context.Context, flags []string, source, object string) error {
	line := slices.Concat(t.compiler(), flags, []string{
		"-Wall", "-Wextra", "-Werror", "-fobjc-runtime=macosx-10.7", "-c", source, "-o", object,
	})
	command := exec.CommandContext(ctx, line[0], line[1:]...)
	command.Env = append(os.Environ(), t.zigCache())
	return t.run(command)
}

// linkSimulator compiles the simulator's runtime, as metal/sim does when it is first opened, and links it into a library,
// without C++'s own: folder gets the files.
func (t *toolchain) linkSimulator(ctx context.Context, folder string) error {
	dir, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", module+"/metal/sim").Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	sources, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "rt", "*.cc"))
	if err != nil {
		return err
	}
	zig := func(args ...string) error {
		command := exec.CommandContext(ctx, t.zig, args...)
		command.Env = append(os.Environ(), t.zigCache())
		return t.run(command)
	}
	link := []string{"cc", "-target", target, "-shared", "-pthread", "-ldl", "-o", filepath.Join(folder, "rt.dylib")}
	for _, source := range sources {
		object := filepath.Join(folder, filepath.Base(source)+".o")
		// As in metal/sim/flags.go, but for -mcpu=native.
		if err := zig("c++", "-target", target, "-mcpu=apple_m1", "-std=c++20", "-fPIC", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti",
			"-O2", "-Wall", "-Wextra", "-Werror", "-c", source, "-o", object); err != nil {
			return err
		}
		link = append(link, object)
	}
	return zig(link...)
}

// run runs a command. Where it fails, the code is at fault: the error is a *buildError.
func (t *toolchain) run(command *exec.Cmd) error {
	output, err := command.CombinedOutput()
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		return err
	}
	var log strings.Builder
	for line := range strings.Lines(string(output)) {
		if !strings.HasPrefix(line, t.zig) { // the linker's command line, 4 KB of it
			log.WriteString(line)
		}
	}
	return &buildError{strings.TrimSpace(log.String())}
}

// checkLink compiles our Objective-C, compares its messages with those that checkSources reads in the text, vets the
// driver and links probe to executable, or, where that is empty, to a file that it removes. It returns a summary and
// the problems found.
func checkLink(ctx context.Context, executable string, progress io.Writer) (summary string, problems []string, err error) {
	folder, err := os.MkdirTemp("", "darwincheck")
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if executable == "" {
		executable = filepath.Join(folder, "probe")
	}
	t, err := newToolchain(ctx, progress)
	if err != nil {
		return "", nil, err
	}
	packages, err := cgoPackages(ctx)
	if err != nil {
		return "", nil, err
	}
	for _, p := range packages {
		for _, name := range p.MFiles {
			found, err := t.compareMessages(ctx, p, filepath.Join(p.Dir, name), filepath.Join(folder, name+".o"))
			if err != nil {
				return failed(problems, err)
			}
			problems = append(problems, found...)
		}
		fmt.Fprintf(progress, "darwincheck: vetting %s: a minute the first time\n", p.ImportPath)
		if err := t.vet(ctx, p.ImportPath); err != nil {
			return failed(problems, err)
		}
	}
	if err := t.build(ctx, probe, executable, ""); err != nil {
		return failed(problems, err)
	}
	if err := t.linkSimulator(ctx, folder); err != nil {
		return failed(problems, err)
	}
	libraries, err := inspect(executable)
	if err != nil {
		return failed(problems, err)
	}
	return "darwin/arm64: linked with " + strings.Join(libraries, ", ") + ": no problem", problems, nil
}

// cgoPackages returns our packages that probe needs and that have C in them.
func cgoPackages(ctx context.Context) ([]*goPackage, error) {
	packages, err := list(ctx, probe)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(packages, func(p *goPackage) bool { return !p.ours() || len(p.CgoFiles) == 0 }), nil
}

// failed adds err to problems where it is a *buildError, and returns it as failure where it is not.
func failed(problems []string, err error) (summary string, all []string, failure error) {
	if fault, ok := errors.AsType[*buildError](err); ok {
		return "", append(problems, fault.log), nil
	}
	return "", nil, err
}

// compareMessages returns the differences between the messages that the compiler sees in a file and those that
// messagesIn finds. There are none, unless a property is read with a dot or messagesIn is wrong.
func (t *toolchain) compareMessages(ctx context.Context, p *goPackage, source, object string) ([]string, error) {
	if err := t.compile(ctx, append([]string{"-I" + p.Dir}, p.CgoCFLAGS...), source, object); err != nil {
		return nil, err
	}
	compiled, err := selectorsIn(object)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(source)
	if err != nil {
		return nil, err
	}
	var read []string
	for _, m := range messagesIn(source, string(text)) {
		read = append(read, m.selector)
	}
	var problems []string
	for _, selector := range compiled {
		if !slices.Contains(read, selector) {
			problems = append(problems, fmt.Sprintf("%s: sends %q, but not in brackets", source, selector))
		}
	}
	for _, selector := range unique(read) {
		if !slices.Contains(compiled, selector) {
			problems = append(problems, fmt.Sprintf("%s: %q looks like a message and is none", source, selector))
		}
	}
	return problems, nil
}
