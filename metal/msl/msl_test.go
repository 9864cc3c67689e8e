package msl_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/metal/msl"
)

// source has every construct that Parse knows, as the preprocessor leaves it.
const source = `# 1 "a.metal"
namespace metal { template <typename T> T max(T a, T b); }
using namespace metal;
constant bool causal [[function_constant(3)]];
constant int width [[function_constant(0x10)]];
constant int half_width = width / 2;
constant float eps = 1e-5f;
inline bool masked(int i) { return causal && i > 0; }
inline bool always() { return is_function_constant_defined(width); }
# 40 "b.h" 1
struct Args {
  int n;
  float scale;
};
# 12 "a.metal" 2
namespace outer {
template <typename T, int N = 4, typename... Rest>
[[kernel, max_total_threads_per_threadgroup(N * 32)]] void row(
    device const T* x [[buffer(1)]],
    constant Args& args [[buffer(0)]],
    const device float* mask [[buffer(7), function_constant(causal)]],
    threadgroup float* scratch [[threadgroup(1)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]]) {
  threadgroup T a[N][2], b;
  alignas(16) threadgroup float sums[32] = {0};
  threadgroup T* p = a[0];
  if (masked(group.x)) { threadgroup metal::vec<T, 2> inner[N > 2 ? 8 : 4]; }
}
}
template [[host_name("row_" "half")]] [[kernel]] decltype(outer::row<half, 8>) outer::row<half, 8>;
kernel void plain(device float *y, constant float &a, device int *z [[buffer(5)]], device int *next) {
  y[0] = a + half_width;
}
`

func parse(t *testing.T, text string) *msl.File {
	t.Helper()
	f, err := msl.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestKernels(t *testing.T) {
	f := parse(t, source)
	if len(f.Kernels) != 2 {
		t.Fatalf("%d kernels, want 2", len(f.Kernels))
	}
	row, plain := f.Kernels[0], f.Kernels[1]
	if row.Scope != "outer::" || row.Name != "row" || row.MaxThreads != "N * 32" || row.Position != (msl.Position{File: "a.metal", Line: 14}) {
		t.Errorf("row: %+v", row)
	}
	if got := row.Template.Parameters; !reflect.DeepEqual(got, []string{"T", "N", "Rest..."}) {
		t.Errorf("template parameters %q", got)
	}
	type parameter struct {
		name, space, builtin, condition string
		kind                            msl.ParameterKind
		index                           int
		reference                       bool
	}
	var got []parameter
	for _, p := range append(row.Parameters, plain.Parameters...) {
		got = append(got, parameter{p.Name, p.AddressSpace, p.Builtin, p.Condition, p.Kind, p.Index, p.Reference})
	}
	want := []parameter{
		{"x", "device", "", "", msl.ParameterBuffer, 1, false},
		{"args", "constant", "", "", msl.ParameterBuffer, 0, true},
		{"mask", "device", "", "causal", msl.ParameterBuffer, 7, false},
		{"scratch", "threadgroup", "", "", msl.ParameterThreadgroup, 1, false},
		{"group", "", "threadgroup_position_in_grid", "", msl.ParameterBuiltin, 0, false},
		{"lane", "", "thread_index_in_simdgroup", "", msl.ParameterBuiltin, 0, false},
		{"y", "device", "", "", msl.ParameterBuffer, 0, false},
		{"a", "constant", "", "", msl.ParameterBuffer, 1, true},
		{"z", "device", "", "", msl.ParameterBuffer, 5, false},
		{"next", "device", "", "", msl.ParameterBuffer, 6, false},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("parameters:\n%+v\nwant\n%+v", got, want)
	}
	if !reflect.DeepEqual(row.Constants, []string{"causal"}) || !reflect.DeepEqual(plain.Constants, []string{"width"}) {
		t.Errorf("constants %q and %q, want causal and, through half_width, width", row.Constants, plain.Constants)
	}
}

func TestVariables(t *testing.T) {
	f := parse(t, source)
	var got []string
	for _, v := range f.Kernels[0].Variables {
		zero := ""
		if v.Zeroed {
			zero = " zeroed"
		}
		got = append(got, v.Type+" "+v.Name+v.Extents+zero+" "+v.Align)
	}
	want := []string{"T a[N][2] ", "T b ", "float sums[32] zeroed 16", "metal::vec<T, 2> inner[N > 2 ? 8 : 4] "}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestConstantsAndEntries(t *testing.T) {
	f := parse(t, source)
	if len(f.Constants) != 2 || f.Constants[0].Index != 3 || f.Constants[1].Index != 16 || f.Constants[1].Type != "int" ||
		f.Constants[0].Optional || !f.Constants[1].Optional {
		t.Errorf("function constants: %+v", f.Constants)
	}
	if len(f.Derived) != 1 || f.Derived[0].Name != "half_width" || f.Derived[0].Initializer != "width / 2" {
		t.Errorf("derived constants: %+v", f.Derived)
	}
	names := map[string]string{}
	for _, e := range f.Entries() {
		names[e.HostName] = e.Target
	}
	if want := map[string]string{"plain": "plain", "row_half": "outer::row<half, 8>"}; !reflect.DeepEqual(names, want) {
		t.Errorf("entries %q, want %q", names, want)
	}
}

// TestRewriteKeepsLines: every line that Rewrite keeps has its old position.
func TestRewriteKeepsLines(t *testing.T) {
	f := parse(t, source)
	text, err := f.Rewrite()
	if err != nil {
		t.Fatal(err)
	}
	again := msl.Scan(text)
	for _, part := range []string{"masked(group.x)", "threadgroup T* p", "y[0] = a", "float scale"} {
		before, after := f.Position(strings.Index(source, part)), again.Position(strings.Index(text, part))
		if before != after || before.File == "" {
			t.Errorf("%q is at %v, and at %v when rewritten", part, before, after)
		}
	}
	if strings.Contains(text, "[[") {
		t.Errorf("an attribute is left:\n%s", text)
	}
}

// TestErrors: source that is not understood is refused, with its place.
func TestErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"void f() {\n  threadgroup float x[3];\n}", "k:2: a threadgroup variable outside a kernel"},
		{"threadgroup float x;", "k:1: a threadgroup variable outside a kernel"},
		{"kernel void k(device int* x [[buffer(0)]]) {\n threadgroup int t[2] = {1, 2};\n}", "k:2: a threadgroup variable may be initialised with zeros only"},
		{"kernel void k(device int* x [[buffer(0)]]) {\n for (threadgroup int t = 0;;) {}\n}", "k:2: a threadgroup variable that isn't understood"},
		{"kernel void k(uint i) {}", "k:1: parameter uint i is neither"},
		{"kernel void k(int* x [[buffer(0)]]) {}", "has no address space"},
		{"kernel void k(device int* x [[buffer(N)]]) {}", "the index must be a number"},
		{"kernel void k(device int* x [[texture(0)]]) {}", "attribute texture of parameter x is not known"},
		{"\nkernel float k() { return 0; }", "k:2: a kernel must return void"},
		{"[[vertex]] void v() {}", "attribute vertex is not known here"},
		{"void f(int i [[function_constant(0)]]);", "function_constant is not known here"},
		{"kernel void k() {}\nkernel void k() {}", "k:2: two kernels are named k"},
		{"template [[host_name(\"x\")]] [[kernel]] decltype(f<int>) f<int>;", "instantiates no kernel"},
		{"float f(device float* p) { return 1; }\nfloat f(thread float* p) { return 2; }", "k:2: an overload differs from that in line 1"},
		{"void f() { (] }", "unexpected ]"},
		{"void f() { ", "{ is not closed"},
	} {
		f, err := msl.Parse("# 1 \"k\"\n" + test.text)
		if err == nil {
			_, err = f.Rewrite()
		}
		var e *msl.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.text, err, test.want)
		}
	}
}

// TestOverloads: of functions, members and specialisations that differ in address spaces alone, the first stays.
func TestOverloads(t *testing.T) {
	f := parse(t, `struct P { P() thread {} P() device {} int get() const device { return 1; } int get() const constant { return 1; } };
float f(device float* p) { return *p; }
float f(threadgroup float* p) { return *p; }
float g(device float* p) { return *p; }
template <> struct E<device int*> { using type = int; };
template <> struct E<constant int*> { using type = int; };`)
	text, err := f.Rewrite()
	if err != nil {
		t.Fatal(err)
	}
	for part, want := range map[string]int{"P()": 1, "get()": 1, "float f(": 1, "float g(": 1, "struct E<": 1} {
		if got := strings.Count(text, part); got != want {
			t.Errorf("%q is there %d times, want %d:\n%s", part, got, want, text)
		}
	}
}

// FuzzParse: no text makes the parser panic or hang.
func FuzzParse(f *testing.F) {
	f.Add(source)
	f.Add("template <")
	f.Add("kernel void k(")
	f.Add("[[a(\"b\")]] {")
	f.Add("constant int x [[function_constant(1)]]")
	f.Fuzz(func(_ *testing.T, text string) {
		if file, err := msl.Parse(text); err == nil {
			_, _ = file.Rewrite()
		}
	})
}
