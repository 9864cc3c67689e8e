// Part 3 of 4 of the stand-in for <metal_stdlib>: <metal_math>, <metal_common>, <metal_geometric>, <metal_integer>,
// <metal_relational>, <metal_pack>.
namespace metal {
#define LINT_OF(F, T) F(T) F(T##2) F(T##3) F(T##4)
// None for bfloat, as in Metal: a bfloat is converted to float where that is allowed.
#define LINT_FLOATS(F) LINT_OF(F, float) LINT_OF(F, half)
#define LINT_INTEGERS(F)                                                                           \
    LINT_OF(F, char)                                                                               \
    LINT_OF(F, uchar)                                                                              \
    LINT_OF(F, short)                                                                              \
    LINT_OF(F, ushort) LINT_OF(F, int) LINT_OF(F, uint) LINT_OF(F, long) LINT_OF(F, ulong)

#define LINT_COMMON(T)                                                                             \
    T abs(T);                                                                                      \
    T min(T, T);                                                                                   \
    T max(T, T);                                                                                   \
    T clamp(T, T, T);
#define LINT_MATH_BASE(T)                                                                          \
    T acos(T);                                                                                     \
    T acosh(T);                                                                                    \
    T asin(T);                                                                                     \
    T asinh(T);                                                                                    \
    T atan(T);                                                                                     \
    T atan2(T, T);                                                                                 \
    T atanh(T);                                                                                    \
    T ceil(T);                                                                                     \
    T cos(T);                                                                                      \
    T cosh(T);                                                                                     \
    T cospi(T);                                                                                    \
    T divide(T, T);                                                                                \
    T exp(T);                                                                                      \
    T exp10(T);                                                                                    \
    T exp2(T);                                                                                     \
    T fabs(T);                                                                                     \
    T floor(T);                                                                                    \
    T fmax(T, T);                                                                                  \
    T fmin(T, T);                                                                                  \
    T fmod(T, T);                                                                                  \
    T fract(T);                                                                                    \
    T log(T);                                                                                      \
    T log10(T);                                                                                    \
    T log2(T);                                                                                     \
    T pow(T, T);                                                                                   \
    T powr(T, T);                                                                                  \
    T rint(T);                                                                                     \
    T round(T);                                                                                    \
    T rsqrt(T);                                                                                    \
    T sin(T);                                                                                      \
    T sincos(T, thread T&);                                                                        \
    T sinh(T);                                                                                     \
    T sinpi(T);                                                                                    \
    T sqrt(T);                                                                                     \
    T tan(T);                                                                                      \
    T tanh(T);                                                                                     \
    T tanpi(T);                                                                                    \
    T trunc(T);
#define LINT_MATH(T)                                                                               \
    LINT_MATH_BASE(T)                                                                              \
    T copysign(T, T);                                                                              \
    T fdim(T, T);                                                                                  \
    T fma(T, T, T);                                                                                \
    T median3(T, T, T);                                                                            \
    T mix(T, T, T);                                                                                \
    T modf(T, thread T&);                                                                          \
    T saturate(T);                                                                                 \
    T sign(T);                                                                                     \
    T smoothstep(T, T, T);                                                                         \
    T step(T, T);                                                                                  \
    T degrees(T);                                                                                  \
    T radians(T);                                                                                  \
    T nextafter(T, T);
#define LINT_BITS(T)                                                                               \
    T absdiff(T, T);                                                                               \
    T addsat(T, T);                                                                                \
    T subsat(T, T);                                                                                \
    T clz(T);                                                                                      \
    T ctz(T);                                                                                      \
    T hadd(T, T);                                                                                  \
    T rhadd(T, T);                                                                                 \
    T mulhi(T, T);                                                                                 \
    T madhi(T, T, T);                                                                              \
    T madsat(T, T, T);                                                                             \
    T mul24(T, T);                                                                                 \
    T mad24(T, T, T);                                                                              \
    T popcount(T);                                                                                 \
    T reverse_bits(T);                                                                             \
    T rotate(T, T);                                                                                \
    T extract_bits(T, uint, uint);                                                                 \
    T insert_bits(T, T, uint, uint);                                                               \
    T min3(T, T, T);                                                                               \
    T max3(T, T, T);
LINT_FLOATS(LINT_COMMON)
LINT_INTEGERS(LINT_COMMON)
LINT_FLOATS(LINT_MATH)
LINT_INTEGERS(LINT_BITS)
namespace fast {
LINT_OF(LINT_MATH_BASE, float)
float clamp(float, float, float);
float min(float, float);
float max(float, float);
} // namespace fast
namespace precise {
LINT_OF(LINT_MATH_BASE, float)
float clamp(float, float, float);
float min(float, float);
float max(float, float);
} // namespace precise

#define LINT_MIXED(T, V)                                                                           \
    V mix(V, V, T);                                                                                \
    V clamp(V, T, T);                                                                              \
    V min(V, T);                                                                                   \
    V max(V, T);                                                                                   \
    T dot(V, V);                                                                                   \
    T length(V);                                                                                   \
    T length_squared(V);                                                                           \
    T distance(V, V);                                                                              \
    T distance_squared(V, V);                                                                      \
    V normalize(V);
#define LINT_GEOMETRIC(T)                                                                          \
    LINT_MIXED(T, T##2) LINT_MIXED(T, T##3) LINT_MIXED(T, T##4) T##3 cross(T##3, T##3);
LINT_GEOMETRIC(float)
LINT_GEOMETRIC(half)

// The type of a yes or no for each component.
template <class T>
struct lint_truth {
    using type = bool;
};
template <class T, int N>
struct lint_truth<T __attribute__((ext_vector_type(N)))> {
    using type = lint_vector<bool, N>;
};
#define LINT_PREDICATE(name)                                                                       \
    template <class T>                                                                             \
    typename lint_truth<T>::type name(T);
LINT_PREDICATE(isfinite)
LINT_PREDICATE(isinf)
LINT_PREDICATE(isnan)
LINT_PREDICATE(isnormal)
LINT_PREDICATE(signbit)
template <class T>
bool all(T);
template <class T>
bool any(T);
template <class T, class C>
T select(T, lint_exactly<T>, C);
template <class T>
T ldexp(T, int);
template <class T>
T frexp(T, thread int&);
template <class T>
int ilogb(T);

float4 unpack_unorm4x8_to_float(uint);
float4 unpack_snorm4x8_to_float(uint);
float2 unpack_unorm2x16_to_float(uint);
half4 unpack_unorm4x8_to_half(uint);
uint pack_float_to_unorm4x8(float4);
uint pack_float_to_snorm4x8(float4);
} // namespace metal
