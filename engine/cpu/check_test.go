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

// build compiles testdata/check.c with all kernels; the skip is for a machine without that compiler.
func build(t *testing.T, compiler string, flags ...string) string {
	t.Helper()
	if _, err := exec.LookPath(compiler); err != nil {
		t.Skipf("no %s", compiler)
	}
	sources, err := filepath.Glob("variant_*.c")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "check")
	args := append([]string{"-std=c11", "-g", "-Wall", "-Wextra", "-Werror", "-o", program, "testdata/check.c", "dispatch.c"}, sources...)
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
	compiler := os.Getenv("CC")
	if compiler == "" {
		compiler = "cc"
	}
	program := build(t, compiler, "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
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
	if runtime.GOARCH == "arm64" {
		t.Skip("TestKernelsSanitized runs them here")
	}
	if _, err := exec.LookPath("qemu-aarch64"); err != nil {
		t.Skip("no qemu-aarch64")
	}
	program := build(t, "aarch64-linux-gnu-gcc", "-O2", "-static")
	for _, variant := range []string{"neon", "dotprod", "i8mm", "portable"} {
		t.Run(variant, func(t *testing.T) { check(t, "qemu-aarch64", "-cpu", "max", program, variant) })
	}
}
