package dialect

// bad has one snippet for each known kind of mistake. A comment `//! rule` marks each line that must be reported, and
// no other may be.
var bad = []struct{ name, text string }{
	// Names.
	{"a kernel with a name of the library", `
kernel void matrix(device float* y [[buffer(0)]]) { y[0] = 0; } //! compile`},
	{"other names of the library", `
constant constexpr uint level = 3; //! compile
constant bool fast [[function_constant(0)]]; //! compile
struct alignas(16) tensor { float4 x; }; //! compile
template <typename T> struct extents { T n; }; //! compile
using mesh = float; //! compile
typedef float4 coord[2]; //! compile
enum Order : uint { ascending, any = 2 }; //! compile
constant constexpr uint own_level = 3, bias = 4; //! compile
typedef struct { float4 low; } interpolant; //! compile
enum class filter { any }; //! compile
float dot(device float* x, uint n) { float length = 1; return x[n] * length; }
namespace own { struct array { float step; }; }
struct Point { float distance; float min() const { return distance; } };
kernel void k(device float* y [[buffer(0)]]) { y[0] = 0; }`},

	// Address spaces.
	{"kernel pointer without a space", `kernel void k(float* x [[buffer(0)]]) {} //! address-space`},
	{"kernel reference without a space", `kernel void k(const Args& x [[buffer(0)]]) {} //! address-space`},
	{"threadgroup to device parameter", `
float first(const device float* p) { return p[0]; }
kernel void k(device float* y [[buffer(0)]]) {
    threadgroup float s[64];
    s[0] = 1;
    y[0] = first(s); //! address-space
}`},
	{"threadgroup reference to thread reference", `
void bump(thread float& x) { x += 1; }
kernel void k(device float* y [[buffer(0)]]) {
    threadgroup float s[64];
    bump(s[0]); //! address-space
    bump(y[0]); //! address-space
}`},
	{"device to unqualified pointer", `
float first(float* p) { return p[0]; }
kernel void k(device float* y [[buffer(0)]]) { y[1] = first(y); } //! address-space`},
	{"device to threadgroup, in a template", `
template <typename T> void copy(threadgroup T* to, const device T* from) { to[0] = from[0]; }
kernel void k(device float* y [[buffer(0)]], const device float* x [[buffer(1)]]) {
    copy(y, x); //! address-space
}`},
	{"threadgroup pointer kept as device pointer", `
kernel void k(device float* y [[buffer(0)]]) {
    threadgroup float s[64];
    device float* p = s; //! address-space
    p[0] = y[0];
}`},
	{"cast between spaces", `
kernel void k(device float* y [[buffer(0)]]) {
    threadgroup float s[64];
    y[0] = ((const device float4*)s)->x; //! address-space
    y[1] = *(const device float*)(s + 1); //! address-space
    y[2] = *(float*)&y[3]; //! address-space
}`},
	{"reinterpret_cast between spaces", `
kernel void k(device float* y [[buffer(0)]], constant float* c [[buffer(1)]]) {
    y[0] = *reinterpret_cast<const device float*>(c); //! address-space
}`},
	{"unqualified local pointer", `
kernel void k(device float* y [[buffer(0)]]) {
    float* p = &y[1]; //! address-space
    p[0] = 1;
}`},
	{"constant assigned to device", `
kernel void k(const device float* y [[buffer(0)]], constant float* c [[buffer(1)]]) {
    y = c; //! address-space
}`},
	{"one operand of each", `
kernel void k(const device float* x [[buffer(0)]], constant float* c [[buffer(1)]], device float* y [[buffer(2)]]) {
    y[0] = *(y[1] > 0 ? x : c); //! address-space
}`},
	{"struct that keeps an unqualified pointer", `
struct Row { float* values; };
kernel void k(device float* y [[buffer(0)]]) {
    Row row{y}; //! address-space
    row.values[0] = 1;
}`},
	{"method of an object in device memory", `
struct Pair { float a, b; float sum() const { return a + b; } };
kernel void k(device Pair* pairs [[buffer(0)]], device float* y [[buffer(1)]]) {
    y[0] = pairs[0].sum(); //! address-space
}`},
	{"matrix from the thread's memory", `
kernel void k(device float* y [[buffer(0)]]) {
    float tile[64];
    simdgroup_float8x8 m;
    simdgroup_load(m, tile, 8); //! address-space
    simdgroup_store(m, y, 8);
}`},
	{"atomic in the thread's memory", `
kernel void k(device uint* y [[buffer(0)]]) {
    atomic_uint n;
    y[0] = atomic_fetch_add_explicit(&n, 1, memory_order_relaxed); //! address-space
}`},
	{"buffer attribute on threadgroup memory", `
kernel void k(threadgroup float* s [[buffer(0)]]) {} //! address-space`},
	{"threadgroup attribute on device memory", `
kernel void k(device float* s [[threadgroup(0)]]) {} //! address-space`},
	{"return of another space", `
const device float* at(const threadgroup float* p) { return p; } //! address-space
kernel void k(device float* y [[buffer(0)]]) { y[0] = 1; }`},

	// Constants.
	{"write to an input", `
kernel void k(const device float* x [[buffer(0)]]) { x[0] = 1; } //! const`},
	{"write to constant memory", `
constant float table[2] = {1, 2};
struct Args { uint n; };
kernel void k(constant Args& args [[buffer(0)]]) {
    table[0] = 1; //! const
    args.n = 1; //! const
}`},
	{"write of a whole struct to constant memory", `
struct Args { uint n, m; };
kernel void k(constant Args& args [[buffer(0)]]) {
    Args copy = args;
    copy.n = 1;
    args = copy; //! const
}`},
	{"write to a function constant", `
constant uint n [[function_constant(0)]];
kernel void k(device uint* y [[buffer(0)]]) { n = y[0]; } //! const`},
	{"const cast away", `
kernel void k(const device float* x [[buffer(0)]]) {
    device float* p = (device float*)x; //! const
    p[0] = 1;
}`},
	{"const pointer to a function that writes", `
void clear(device float* p) { p[0] = 0; }
kernel void k(const device float* x [[buffer(0)]]) { clear(x); } //! const`},

	// Variables of the program.
	{"constexpr outside functions", `
constexpr int tile = 64; //! program-scope
kernel void k(device float* y [[buffer(0)]]) { y[0] = tile; }`},
	{"global variable", `
namespace a {
float total = 0; //! program-scope
}
kernel void k(device float* y [[buffer(0)]]) { y[0] = a::total; }`},
	{"static member and static local", `
struct Tile { static constexpr int size = 8; float x; }; //! program-scope
kernel void k(device float* y [[buffer(0)]]) {
    static int calls; //! program-scope
    calls++;
    y[0] = Tile::size;
}`},

	// C++ features that Metal leaves out.
	{"recursion", `
int factorial(int n) { return n < 2 ? 1 : n * factorial(n - 1); } //! recursion
kernel void k(device int* y [[buffer(0)]]) { y[0] = factorial(y[1]); }`},
	{"recursion of two", `
int odd(int n);
int even(int n) { return n == 0 ? 1 : odd(n - 1); } //! recursion
int odd(int n) { return n == 0 ? 0 : even(n - 1); } //! recursion
kernel void k(device int* y [[buffer(0)]]) { y[0] = even(y[1]); }`},
	{"recursion of a template", `
template <typename T> T power(T x, int n) { //! recursion
    return n == 0 ? T(1) : x * power(x, n - 1);
}
kernel void k(device float* y [[buffer(0)]]) { y[0] = power(y[1], 3); }`},
	{"recursion that nobody calls", `
inline void forever(int n) { forever(n + 1); } //! recursion
kernel void k(device float* y [[buffer(0)]]) { y[0] = 1; }`},
	{"double", `
kernel void k(device float* y [[buffer(0)]]) {
    double sum = 0; //! double
    y[0] = sum;
}`},
	{"double in a template that nobody uses", `
template <typename T> T f(T x) { return T(double(x)); } //! double
kernel void k(device float* y [[buffer(0)]]) { y[0] = 1; }`},
	{"new and delete", `
kernel void k(device float* y [[buffer(0)]]) {
    float* p = new float[4]; //! allocation
    y[0] = p[0];
    delete[] p; //! allocation
}`},
	{"malloc", `
kernel void k(device float* y [[buffer(0)]]) {
    thread float* p = (thread float*)malloc(16); //! allocation
    y[0] = p[0];
}`},
	{"a header of C++", `
#include <cmath> //! library
kernel void k(device float* y [[buffer(0)]]) { y[0] = 1; }`},
	{"a file that isn't put in", `
#include "params.h" //! library
kernel void k(device float* y [[buffer(0)]]) { y[0] = 1; }`},
	{"std::", `
kernel void k(device float* y [[buffer(0)]]) { y[0] = std::max(y[1], y[2]); } //! library`},
	{"a function that Metal lacks", `
kernel void k(device float* y [[buffer(0)]]) { y[0] = erf(y[1]); } //! compile`},
	{"a type that doesn't fit", `
kernel void k(device float* y [[buffer(0)]]) { y[0] = float4(1); } //! compile`},
	{"a function of bfloat kept as bfloat", `
kernel void k(device bfloat* y [[buffer(0)]]) { y[0] = exp(y[1]); } //! compile`},
	{"lanes that exchange bfloat", `
kernel void k(device bfloat* y [[buffer(0)]]) { y[0] = simd_sum(y[1]); } //! compile`},
	{"a class where a float is wanted", `
struct Pair { float a, b; };
kernel void k(device Pair* p [[buffer(0)]], device float* y [[buffer(1)]]) {
    y[0] = p[0]; //! compile
    float x = p[1]; //! compile
    y[1] = x;
}`},
	{"a vector of too many", `
kernel void k(device float4* y [[buffer(0)]]) { y[0] = float4(float2(1), float3(1)); } //! compile`},
	{"goto", `
kernel void k(device float* y [[buffer(0)]]) {
    goto end; //! feature
end:
    y[0] = 1;
}`},
	{"virtual", `
struct Op { virtual float apply(float x) const { return x; } }; //! feature
kernel void k(device float* y [[buffer(0)]]) { y[0] = 1; }`},
	{"exceptions", `
kernel void k(device float* y [[buffer(0)]]) {
    try { //! feature
        y[0] = 1;
    } catch (...) { //! feature
        throw 1; //! feature
    }
}`},
	{"lambda", `
kernel void k(device float* y [[buffer(0)]]) {
    auto twice = [](float x) { return 2 * x; }; //! feature
    y[0] = twice(y[1]);
}`},
	{"typeid", `
kernel void k(device bool* y [[buffer(0)]]) { y[0] = typeid(int) == typeid(int); } //! feature`},
	{"thread_local", `
kernel void k(device float* y [[buffer(0)]]) { thread_local float x; y[0] = 1; } //! feature`},

	// Attributes and indices.
	{"no attribute", `
kernel void k(device float* y) { y[0] = 1; } //! attribute`},
	{"no attribute on a value", `
kernel void k(device float* y [[buffer(0)]], uint i) { y[i] = 1; } //! attribute`},
	{"unknown attribute", `
kernel void k(device float* y [[buffer(0)]], uint i [[thread_position_on_grid]]) { y[i] = 1; } //! attribute`},
	{"two attributes", `
kernel void k(device float* y [[buffer(0)]], uint i [[thread_position_in_grid, thread_index_in_simdgroup]]) {} //! attribute`},
	{"a position of a wrong type", `
kernel void k(device float* y [[buffer(0)]],
    int i [[thread_position_in_grid]], //! attribute
    uint2 lane [[thread_index_in_simdgroup]], //! attribute
    float3 group [[threadgroup_position_in_grid]]) { //! attribute
    y[i] = 1;
}`},
	{"the same builtin twice", `
kernel void k(device float* y [[buffer(0)]], uint i [[thread_position_in_grid]],
    uint j [[thread_position_in_grid]]) { y[i] = j; } //! attribute`},
	{"an attribute where none can be", `
void f(uint i [[buffer(0)]]) {} //! attribute
kernel void k(device float* y [[buffer(0)]]) { y[0] = 1; }`},
	{"an attribute that Metal lacks", `
kernel void k(device float* y [[buffer(0)]]) {
    [[unroll]] for (int i = 0; i < 4; i++) y[i] = 1; //! attribute
}
[[kernel, max_total_threads(64)]] void l(device float* y [[buffer(0)]]) { y[0] = 1; } //! attribute`},
	{"a condition that is no function constant", `
kernel void k(device float* y [[buffer(0)]], device float* z [[buffer(1), function_constant(has)]]) { y[0] = 1; } //! attribute`},
	{"a buffer index twice", `
kernel void k(device float* y [[buffer(0)]], const device float* x [[buffer(0)]]) { y[0] = x[0]; } //! index`},
	{"a buffer index too high", `
kernel void k(device float* y [[buffer(31)]]) { y[0] = 1; } //! index`},
	{"a buffer index that is no number", `
kernel void k(device float* y [[buffer(first)]]) { y[0] = 1; } //! index`},
	{"a threadgroup index twice", `
kernel void k(threadgroup float* a [[threadgroup(1)]], threadgroup float* b [[threadgroup(1)]]) { a[0] = b[0]; } //! index`},
	{"a function constant twice", `
constant bool a [[function_constant(3)]];
constant bool b [[function_constant(3)]]; //! index
kernel void k(device float* y [[buffer(0)]]) { y[0] = a || b; }`},
	{"a function constant of a type that Go can't set", `
constant half a [[function_constant(0)]]; //! attribute
kernel void k(device float* y [[buffer(0)]]) { y[0] = a; }`},
	{"a function constant as a size", `
constant uint n [[function_constant(0)]];
kernel void k(device float* y [[buffer(0)]]) {
    threadgroup float s[n]; //! compile
    y[0] = s[0];
}`},
	{"more threads than there can be", `
[[kernel, max_total_threads_per_threadgroup(2048)]] //! attribute
void k(device float* y [[buffer(0)]]) { y[0] = 1; }`},

	// Threadgroup memory.
	{"too much of it", `
kernel void k(device float* y [[buffer(0)]]) {
    threadgroup float a[64 * 64];
    threadgroup float b[64 * 64], c[1]; //! threadgroup-memory
    a[0] = b[0] = c[0] = 1;
    y[0] = a[1];
}`},
	{"too much of it in one instance of a template", `
template <typename T, int N> kernel void k(device T* y [[buffer(0)]]) {
    threadgroup T tile[N]; //! threadgroup-memory
    tile[0] = 1;
    y[0] = tile[1];
}
template [[host_name("small")]] [[kernel]] decltype(k<half, 10000>) k<half, 10000>;
template [[host_name("large")]] [[kernel]] decltype(k<float, 10000>) k<float, 10000>;`},
	{"a threadgroup variable outside kernels", `
void helper(device float* y) {
    threadgroup float s[4]; //! threadgroup-memory
    y[0] = s[0];
}
kernel void k(device float* y [[buffer(0)]]) { helper(y); }`},
	{"an initialised threadgroup variable", `
kernel void k(device float* y [[buffer(0)]]) {
    threadgroup uint n = 1; //! threadgroup-memory
    y[0] = n;
}`},

	// Names.
	{"two kernels of one name", `
kernel void k(device float* y [[buffer(0)]]) { y[0] = 1; }
template <typename T> kernel void t(device T* y [[buffer(0)]]) { y[0] = 1; }
template [[host_name("k")]] [[kernel]] decltype(t<half>) t<half>; //! catalogue`},
	{"a template that nobody instantiates", `
template <typename T> kernel void t(device T* y [[buffer(0)]]) { y[0] = 1; } //! catalogue`},
	{"broken text", `
kernel void k(device float* y [[buffer(0)]]) { y[0] = ; } //! compile`},
	{"a broken directive", `
#if 1 + //! compile
#endif
kernel void k(device float* y [[buffer(0)]]) { y[0] = 1; }`},
}
