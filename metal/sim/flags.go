package sim

import (
	"path/filepath"
	"runtime"
	"slices"
)

// common are the flags of everything that is compiled.
func (b *builder) common() []string {
	native := "-march=native"
	if runtime.GOARCH == "arm64" {
		native = "-mcpu=native"
	}
	return []string{"-std=c++20", "-fPIC", "-shared", native, "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti", "-nostdlib++"}
}

func (b *builder) runtimeFlags() []string {
	return append(b.common(), "-O2", "-g1", "-pthread", "-ldl")
}

// hookFlags compile hooks.cc, which must not be instrumented, and link it with a checked kernel. -Bsymbolic: the
// hooks must be ours, even where the process has a sanitizer.
func (b *builder) hookFlags() []string {
	flags := append(b.common(), "-O2")
	if runtime.GOOS == "linux" {
		flags = append(flags, "-Wl,-Bsymbolic")
	}
	return flags
}

// checkedFlags make clang call a hook (rt/hooks.cc) at every access to memory that isn't provably a thread's own, and
// where C++ has no defined behaviour. Counters depend on them: a change in optimisation changes counts.
var checkedFlags = []string{
	"-O1", "-fno-vectorize", "-fno-slp-vectorize", // no access wider than 16 bytes: those go unchecked
	// bounds: of arrays of known size, with a report; of a thread's own variables through pointers, with a trap.
	"-fsanitize=thread,alignment,bounds,integer-divide-by-zero,shift-exponent", "-fsanitize-recover=all",
	"-mllvm", "-tsan-instrument-read-before-write=1", // otherwise x += 1 is seen as a write only
	"-mllvm", "-tsan-instrument-func-entry-exit=0",
	"-ftrivial-auto-var-init=pattern", // a variable that was never set is NaN, and so are results computed from it
}

// objectFlags make an object of the output of checkedFlags: LLVM text, optimised and instrumented already.
func (b *builder) objectFlags() []string {
	return append(b.common(), "-O1", "-Xclang", "-disable-llvm-passes", "-ffp-contract=on", "-fno-omit-frame-pointer",
		"-w", "-Wno-unused-command-line-argument")
}

// kernelFlags compile rewritten kernels. Metal's own rules are kept where C++ has others: half is rounded after every
// operation, and an expression's multiplication and addition may be fused (Metal's default), but never across
// statements.
func (b *builder) kernelFlags() []string {
	flags := slices.Concat(b.common(), []string{
		"-nostdinc", "-nostdinc++", "-I", filepath.Join(b.sources, "shim"), "-g1",
		"-ffp-contract=on", "-fno-math-errno", "-fno-stack-protector", "-fno-omit-frame-pointer",
		"-fstack-clash-protection", // a large frame must not step over the page that guards the next thread's stack
		"-Xclang", "-ffloat16-excess-precision=none", "-Xclang", "-fbfloat16-excess-precision=none",
		"-fno-threadsafe-statics", "-ferror-limit=20", "-fno-caret-diagnostics", "-fno-color-diagnostics",
		// No warnings about code that Metal allows and C++ does not. The dialect check gives all other warnings.
		"-w", "-Wno-reserved-user-defined-literal", "-Wno-user-defined-literals", "-Wno-c++11-narrowing",
		"-Wno-missing-template-arg-list-after-template-kw", "-Wno-invalid-constexpr", "-Wno-undefined-inline",
	})
	if !b.checked {
		return append(flags, "-DSIM_CHECKED=0", "-O2")
	}
	return append(flags, append([]string{"-DSIM_CHECKED=1"}, checkedFlags...)...)
}
