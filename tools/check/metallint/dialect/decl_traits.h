// Part 2 of 4 of the stand-in for <metal_stdlib>: <metal_type_traits>, <metal_limits>, <metal_array>, <metal_uniform>.
namespace metal {
template <class T, T V>
struct integral_constant {
    static constexpr T value = V;
    using value_type = T;
    using type = integral_constant;
    constexpr operator T() const { return V; }
    constexpr T operator()() const { return V; }
};
template <bool B>
using bool_constant = integral_constant<bool, B>;
using true_type = bool_constant<true>;
using false_type = bool_constant<false>;

template <bool B, class T = void>
struct enable_if {};
template <class T>
struct enable_if<true, T> {
    using type = T;
};
template <bool B, class T = void>
using enable_if_t = typename enable_if<B, T>::type;
template <bool B, class T, class F>
struct conditional {
    using type = T;
};
template <class T, class F>
struct conditional<false, T, F> {
    using type = F;
};
template <bool B, class T, class F>
using conditional_t = typename conditional<B, T, F>::type;

template <class T>
struct remove_cv {
    using type = __remove_cv(T);
};
template <class T>
struct remove_const {
    using type = __remove_const(T);
};
template <class T>
struct remove_reference {
    using type = __remove_reference_t(T);
};
template <class T>
struct remove_pointer {
    using type = __remove_pointer(T);
};
template <class T>
struct decay {
    using type = __decay(T);
};
template <class T>
struct make_signed {
    using type = __make_signed(T);
};
template <class T>
struct make_unsigned {
    using type = __make_unsigned(T);
};
template <class T>
using remove_cv_t = __remove_cv(T);
template <class T>
using remove_const_t = __remove_const(T);
template <class T>
using remove_reference_t = __remove_reference_t(T);
template <class T>
using remove_pointer_t = __remove_pointer(T);
template <class T>
using decay_t = __decay(T);
template <class T>
using make_signed_t = __make_signed(T);
template <class T>
using make_unsigned_t = __make_unsigned(T);

#define LINT_TRAIT(name, value)                                                                    \
    template <class T>                                                                             \
    struct name : bool_constant<value> {};                                                         \
    template <class T>                                                                             \
    inline constexpr bool name##_v = value;
LINT_TRAIT(is_floating_point, __is_floating_point(T))
LINT_TRAIT(is_integral, __is_integral(T))
LINT_TRAIT(is_arithmetic, __is_arithmetic(T))
LINT_TRAIT(is_signed, __is_signed(T))
LINT_TRAIT(is_unsigned, __is_unsigned(T))
LINT_TRAIT(is_pointer, __is_pointer(T))
LINT_TRAIT(is_class, __is_class(T))
LINT_TRAIT(is_enum, __is_enum(T))
LINT_TRAIT(is_const, __is_const(T))
LINT_TRAIT(is_scalar, !lint_shape<T>::isVector)
LINT_TRAIT(is_vector, lint_shape<T>::isVector)
template <class A, class B>
struct is_same : bool_constant<__is_same(A, B)> {};
template <class A, class B>
inline constexpr bool is_same_v = __is_same(A, B);
template <class A, class B>
struct is_convertible : bool_constant<__is_convertible(A, B)> {};
template <class A, class B>
inline constexpr bool is_convertible_v = __is_convertible(A, B);

template <class T>
struct lint_same {
    using type = T;
};
template <class T>
using lint_exactly = typename lint_same<T>::type; // a parameter that deduces nothing

template <class T>
struct numeric_limits {
    static constexpr int digits = 0, digits10 = 0, max_exponent = 0, min_exponent = 0;
    static constexpr bool is_specialized = true, has_infinity = __is_floating_point(T),
                          is_signed = __is_signed(T);
    static constexpr T min() { return T(); }
    static constexpr T max() { return T(); }
    static constexpr T lowest() { return T(); }
    static constexpr T epsilon() { return T(); }
    static constexpr T infinity() { return T(); }
    static constexpr T quiet_NaN() { return T(); }
    static constexpr T denorm_min() { return T(); }
};

template <class T>
struct remove_addrspace {
    using type = T;
};
template <class T>
struct remove_addrspace<device T> : remove_addrspace<T> {};
template <class T>
struct remove_addrspace<constant T> : remove_addrspace<const T> {};
template <class T>
struct remove_addrspace<threadgroup T> : remove_addrspace<T> {};
template <class T>
using remove_addrspace_t = typename remove_addrspace<T>::type;

template <class T>
using uniform = T;
template <class T>
T make_uniform(T);

template <class T, size_t N>
struct array {
    T elements[N];
    constexpr T& operator[](size_t i) { return elements[i]; }
    constexpr const T& operator[](size_t i) const { return elements[i]; }
    constexpr size_t size() const { return N; }
};

template <class T, class U>
constexpr T as_type(U u) {
    static_assert(sizeof(T) == sizeof(U), "as_type needs two types of one size");
    return T{};
}
template <class T>
bool is_function_constant_defined(constant T&);
} // namespace metal

using metal::as_type;
using metal::is_function_constant_defined;
