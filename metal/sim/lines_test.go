package sim

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// clang returns the compiler that the simulator needs; without one the test is skipped, or fails in CI.
func clang(t *testing.T) string {
	t.Helper()
	compiler, err := exec.LookPath("clang++-19")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("clang++-19 is needed in CI: %v", err)
		}
		t.Skipf("no clang++-19: %v", err)
	}
	return compiler
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(program), err, out)
	}
	return strings.TrimSpace(string(out))
}

const inlined = `# 5 "shim/math.h"
static inline __attribute__((always_inline)) int load(volatile int* p) { return *p; }
# 10 "tools.h"
static inline __attribute__((always_inline)) int twice(volatile int* p) {
    return 2 * load(p);
}
# 20 "kernel.metal"
extern "C" void kernel(volatile int* p) {
    p[1] = load(p);
    p[2] = twice(p);
}
`

func TestLines(t *testing.T) {
	dir := t.TempDir()
	object := filepath.Join(dir, "kernel.so")
	if err := os.WriteFile(filepath.Join(dir, "kernel.cc"), []byte(inlined), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, clang(t), "-O1", "-g1", "-shared", "-fPIC", "-o", object, filepath.Join(dir, "kernel.cc"))
	table, err := openLines(object)
	if err != nil {
		t.Fatal(err)
	}
	start, size := symbol(t, object, "kernel")
	inShim := func(file string) bool { return strings.HasPrefix(file, "shim/") }
	got := map[place]bool{}
	for pc := start; pc < start+size; pc++ {
		at, ok := table.locate(pc, inShim)
		if !ok {
			t.Fatalf("pc %#x: no place", pc)
		}
		got[at] = true
	}
	for _, want := range []place{{"kernel.metal", 21}, {"tools.h", 11}, {"kernel.metal", 22}} {
		if !got[want] {
			t.Errorf("no instruction is on %v; there are %v", want, got)
		}
	}
	for at := range got {
		if inShim(at.file) {
			t.Errorf("%v is in the shim", at)
		}
	}
	if at, ok := table.locate(start+1<<30, inShim); ok {
		t.Errorf("a pc outside the code is at %v", at)
	}
}

func TestLinesErrors(t *testing.T) {
	if _, err := openLines(filepath.Join(t.TempDir(), "none.so")); err == nil {
		t.Error("no file, no error")
	}
}

// symbol returns a function's address and size.
func symbol(t *testing.T, object, name string) (start, size uint64) {
	t.Helper()
	file, err := elf.Open(object)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	symbols, err := file.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(symbols, func(s elf.Symbol) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("%s has no symbol %s", object, name)
	}
	return symbols[i].Value, symbols[i].Size
}
