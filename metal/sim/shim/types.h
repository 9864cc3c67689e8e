// types.h: scalar types, literals and limits.
#pragma once

using half = _Float16;
using bfloat = __bf16;
using uchar = unsigned char;
using ushort = unsigned short;
using uint = unsigned int;
using ulong = unsigned long;

using int8_t = signed char;
using int16_t = short;
using int32_t = int;
using int64_t = long;
using uint8_t = unsigned char;
using uint16_t = unsigned short;
using uint32_t = unsigned int;
using uint64_t = unsigned long;
using size_t = unsigned long;
using ptrdiff_t = long;
using uintptr_t = unsigned long;
using intptr_t = long;

constexpr half operator""h(long double x) {
    return static_cast<half>(x);
}
constexpr half operator""h(unsigned long long x) {
    return static_cast<half>(x);
}
constexpr half operator"" H(long double x) {
    return static_cast<half>(x);
}
constexpr bfloat operator"" bf(long double x) {
    return static_cast<bfloat>(static_cast<float>(x));
}

// Compilers call __truncsfbf2 to round float to bfloat, ties to even, where the CPU has no instruction for it. libgcc has it
// from version 13 on; this one is for systems with an older one.
extern "C" __attribute__((weak)) bfloat __truncsfbf2(float x) {
    const uint bits = __builtin_bit_cast(uint, x);
    const uint rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
    const uint quiet = bits >> 16 | 0x40u; // a NaN stays one
    return __builtin_bit_cast(bfloat, ushort((bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded));
}

namespace metal {

using ::bfloat;
using ::half;
using ::int16_t;
using ::int32_t;
using ::int64_t;
using ::int8_t;
using ::ptrdiff_t;
using ::size_t;
using ::uchar;
using ::uint;
using ::uint16_t;
using ::uint32_t;
using ::uint64_t;
using ::uint8_t;
using ::ulong;
using ::ushort;

template <class T>
struct numeric_limits;

template <class T>
struct integer_limits {
    static constexpr bool is_specialized = true, is_integer = true, has_infinity = false;
    static constexpr bool is_signed = T(-1) < T(0);
    static constexpr int digits = sizeof(T) * 8 - is_signed;
    static constexpr T max() { return is_signed ? T((1ul << (sizeof(T) * 8 - 1)) - 1) : T(~0ul); }
    static constexpr T min() { return is_signed ? T(-max() - 1) : T(0); }
    static constexpr T lowest() { return min(); }
    static constexpr T infinity() { return T(0); }
};
template <>
struct numeric_limits<char> : integer_limits<char> {};
template <>
struct numeric_limits<signed char> : integer_limits<signed char> {};
template <>
struct numeric_limits<uchar> : integer_limits<uchar> {};
template <>
struct numeric_limits<short> : integer_limits<short> {};
template <>
struct numeric_limits<ushort> : integer_limits<ushort> {};
template <>
struct numeric_limits<int> : integer_limits<int> {};
template <>
struct numeric_limits<uint> : integer_limits<uint> {};
template <>
struct numeric_limits<long> : integer_limits<long> {};
template <>
struct numeric_limits<ulong> : integer_limits<ulong> {};
template <>
struct numeric_limits<bool> {
    static constexpr bool is_specialized = true, is_integer = true, is_signed = false,
                          has_infinity = false;
    static constexpr int digits = 1;
    static constexpr bool min() { return false; }
    static constexpr bool max() { return true; }
    static constexpr bool lowest() { return false; }
};

template <class T, int Digits, int MaxExponent>
struct floating_limits {
    static constexpr bool is_specialized = true, is_integer = false, is_signed = true,
                          has_infinity = true;
    static constexpr int digits = Digits, max_exponent = MaxExponent,
                         min_exponent = 3 - MaxExponent;
    // 2^e, one factor at a time: e is small, and this is constant-evaluated.
    static constexpr double power(int e) {
        double result = 1;
        for (; e > 0; e--)
            result *= 2;
        for (; e < 0; e++)
            result /= 2;
        return result;
    }
    static constexpr T min() { return T(power(min_exponent - 1)); }
    static constexpr T max() { return T((2 - power(1 - Digits)) * power(MaxExponent - 1)); }
    static constexpr T lowest() { return -max(); }
    static constexpr T epsilon() { return T(power(1 - Digits)); }
    static constexpr T denorm_min() { return T(power(min_exponent - Digits)); }
    static constexpr T infinity() { return T(__builtin_inff()); }
    static constexpr T quiet_NaN() { return T(__builtin_nanf("")); }
    static constexpr T signaling_NaN() { return quiet_NaN(); }
};
template <>
struct numeric_limits<float> : floating_limits<float, 24, 128> {};
template <>
struct numeric_limits<half> : floating_limits<half, 11, 16> {};
template <>
struct numeric_limits<bfloat> : floating_limits<bfloat, 8, 128> {};

} // namespace metal
