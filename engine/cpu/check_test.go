package cpu

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// compiler is the one that cgo calls.
func compiler() string {
	if name := os.Getenv("CC"); name != "" {
		return name
	}
	return "cc"
}

// build compiles a program of testdata, named among the arguments, with all kernels.
func build(t testing.TB, compiler string, flags ...string) string {
	t.Helper()
	sources, err := filepath.Glob("variant_*.c")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "check")
	args := append([]string{"-std=c11", "-g", "-Wall", "-Wextra", "-Werror", "-o", program, "dispatch.c", "peak.c"}, sources...)
	args = append(append(args, flags...), "-lm")
	if output, err := exec.CommandContext(t.Context(), compiler, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", compiler, strings.Join(args, " "), err, output)
	}
	return program
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

// Every kernel against double arithmetic over all shapes, with the compiler's sanitizers on.
func TestKernelsSanitized(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	program := build(t, compiler(), "testdata/check.c", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
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
	program := build(t, "aarch64-linux-gnu-gcc", "testdata/check.c", "-O2", "-static")
	for _, variant := range []string{"neon", "dotprod", "i8mm", "portable"} {
		t.Run(variant, func(t *testing.T) { check(t, "qemu-aarch64", "-cpu", "max", program, variant) })
	}
}
