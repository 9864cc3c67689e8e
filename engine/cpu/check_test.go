package cpu

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/internal/parallel"
)

// compiler is the one that cgo calls.
func compiler() string {
	if name := os.Getenv("CC"); name != "" {
		return name
	}
	return "cc"
}

// build compiles a program of testdata with all kernels. The variants of plain are only linked, and need no flags.
func build(t testing.TB, compiler, program string, flags []string, plain ...string) string {
	t.Helper()
	sources, err := filepath.Glob("variant_*.c")
	if err != nil {
		t.Fatal(err)
	}
	sources = append(sources, "dispatch.c", "peak.c", program)
	folder := t.TempDir()
	run := func(args ...string) error {
		if output, err := exec.CommandContext(t.Context(), compiler, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w\n%s", compiler, strings.Join(args, " "), err, output)
		}
		return nil
	}
	objects := make([]string, len(sources))
	err = parallel.For(t.Context(), len(sources), 0, func(i int) error {
		objects[i] = filepath.Join(folder, fmt.Sprint(i, ".o"))
		args := []string{"-std=c11", "-g1", "-Wall", "-Wextra", "-Werror", "-c", sources[i], "-o", objects[i]}
		if !slices.ContainsFunc(plain, func(name string) bool { return sources[i] == "variant_"+name+".c" }) {
			args = append(args, flags...)
		}
		return run(args...)
	})
	if err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(folder, "made")
	if err := run(slices.Concat(objects, flags, []string{"-o", made, "-lm"})...); err != nil {
		t.Fatal(err)
	}
	return made
}

func check(t *testing.T, command ...string) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 77 {
		t.Skip("the system refuses the tile registers")
	}
	if err != nil {
		t.Errorf("%s: %v", strings.Join(command, " "), err)
	}
	t.Logf("%s", output)
}

// BenchmarkPeak's program compiles, though benchmarks don't run with the tests.
func TestSpeedCompiles(t *testing.T) {
	check(t, compiler(), "-std=c11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "testdata/speed.c")
}

// Every kernel that runs here against double arithmetic over all shapes, with the compiler's sanitizers on. The address
// sanitizer finds null pointers and accesses beyond an object without the checks that undefined adds for them.
func TestKernelsSanitized(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute, nearly all of it compiling")
	}
	var absent []string
	for _, v := range Variants() {
		if !v.Available {
			absent = append(absent, v.Name)
		}
	}
	program := build(t, compiler(), "testdata/check.c",
		[]string{"-O1", "-fsanitize=address,undefined", "-fno-sanitize=null,object-size", "-fno-sanitize-recover=undefined"}, absent...)
	for _, v := range Variants() {
		t.Run(v.Name, func(t *testing.T) {
			if !v.Available {
				t.Skipf("this machine lacks %s", v.Needs)
			}
			check(t, program, v.Name)
		})
	}
}

// The kernels for ARM, compiled by a cross compiler and run by an emulator.
func TestKernelsOnEmulatedARM(t *testing.T) {
	if testing.Short() {
		t.Skip("the emulator takes most of a minute")
	}
	if runtime.GOARCH == "arm64" {
		t.Skip("TestKernelsSanitized runs them here")
	}
	for _, tool := range []string{"qemu-aarch64", "aarch64-linux-gnu-gcc"} {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" && runtime.GOOS == "linux" {
			t.Fatalf("no %s, which ./build.sh deps installs: the kernels for ARM must not go untested here", tool)
		}
		t.Skipf("no %s (Debian, Ubuntu: ./build.sh deps, as root)", tool)
	}
	program := build(t, "aarch64-linux-gnu-gcc", "testdata/check.c", []string{"-O2", "-static"})
	for _, variant := range []string{"neon", "dotprod", "i8mm", "portable"} {
		t.Run(variant, func(t *testing.T) { check(t, "qemu-aarch64", "-cpu", "max", program, variant) })
	}
}
