// integer.h: <metal_integer>.
#pragma once

namespace metal {

namespace detail {
template <class T>
concept Integer = is_integral_v<T>;
}

template <detail::Integer T>
SIM_INLINE constexpr T popcount(T x) {
    return T(__builtin_popcountg(make_unsigned_t<T>(x)));
}
template <detail::Integer T>
SIM_INLINE constexpr T clz(T x) {
    return T(__builtin_clzg(make_unsigned_t<T>(x), int(sizeof(T) * 8)));
}
template <detail::Integer T>
SIM_INLINE constexpr T ctz(T x) {
    return T(__builtin_ctzg(make_unsigned_t<T>(x), int(sizeof(T) * 8)));
}
template <detail::Integer T>
SIM_INLINE constexpr T reverse_bits(T x) {
    T r = 0;
    for (unsigned i = 0; i < sizeof(T) * 8; i++)
        r |= T((x >> i & 1) << (sizeof(T) * 8 - 1 - i));
    return r;
}
template <detail::Integer T>
SIM_INLINE constexpr T rotate(T x, T by) {
    using U = make_unsigned_t<T>;
    constexpr unsigned bits = sizeof(T) * 8;
    unsigned n = unsigned(by) % bits;
    return T(n == 0 ? U(x) : U(U(x) << n | U(x) >> (bits - n)));
}
template <detail::Integer T>
SIM_INLINE constexpr T extract_bits(T x, uint offset, uint bits) {
    if (bits == 0) return 0;
    constexpr uint width = sizeof(T) * 8;
    return T(T(x << (width - bits - offset)) >> (width - bits));
}
template <detail::Integer T>
SIM_INLINE constexpr T insert_bits(T base, T insert, uint offset, uint bits) {
    if (bits == 0) return base;
    using U = make_unsigned_t<T>;
    U mask = U(U(~U(0)) >> (sizeof(T) * 8 - bits)) << offset;
    return T((U(base) & ~mask) | (U(U(insert) << offset) & mask));
}
template <detail::Integer T>
SIM_INLINE constexpr T mulhi(T a, T b) {
    return T(static_cast<__int128>(a) * static_cast<__int128>(b) >> (sizeof(T) * 8));
}
template <>
SIM_INLINE constexpr ulong mulhi(ulong a, ulong b) {
    return ulong(static_cast<unsigned __int128>(a) * b >> 64);
}
template <detail::Integer T>
SIM_INLINE constexpr T addsat(T a, T b) {
    T r = 0;
    if (!__builtin_add_overflow(a, b, &r)) return r;
    return a < 0 ? numeric_limits<T>::min() : numeric_limits<T>::max();
}
template <detail::Integer T>
SIM_INLINE constexpr T subsat(T a, T b) {
    T r = 0;
    if (!__builtin_sub_overflow(a, b, &r)) return r;
    return a < b ? numeric_limits<T>::min() : numeric_limits<T>::max();
}
template <detail::Integer T>
SIM_INLINE constexpr make_unsigned_t<T> absdiff(T a, T b) {
    using U = make_unsigned_t<T>;
    return a < b ? U(U(b) - U(a)) : U(U(a) - U(b));
}
template <detail::Integer T>
SIM_INLINE constexpr T hadd(T a, T b) {
    return T((a >> 1) + (b >> 1) + (a & b & 1));
}
template <detail::Integer T>
SIM_INLINE constexpr T rhadd(T a, T b) {
    return T((a >> 1) + (b >> 1) + ((a | b) & 1));
}

#define SIM_INTEGER(name)                                                                          \
    template <detail::Vector A>                                                                    \
    SIM_INLINE typename detail::vector_of<A>::type name(const A& a) {                              \
        SIM_EACH(A, name(v.e[i]));                                                                 \
    }
SIM_INTEGER(popcount)
SIM_INTEGER(clz)
SIM_INTEGER(ctz)
SIM_INTEGER(reverse_bits)
#undef SIM_INTEGER

} // namespace metal
