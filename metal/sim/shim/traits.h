// traits.h: <metal_type_traits>. It has no more than Apple's: MLX adds void_t and is_empty to namespace metal itself.
#pragma once

namespace metal {

template <class T, T V>
struct integral_constant {
    using value_type = T;
    using type = integral_constant;
    static constexpr T value = V;
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

template <bool B, class X, class Y>
struct conditional {
    using type = X;
};
template <class X, class Y>
struct conditional<false, X, Y> {
    using type = Y;
};
template <bool B, class X, class Y>
using conditional_t = typename conditional<B, X, Y>::type;

template <class T>
struct type_identity {
    using type = T;
};

#define SIM_TRANSFORM(name, ...)                                                                   \
    template <class T>                                                                             \
    using name##_t = __VA_ARGS__;                                                                  \
    template <class T>                                                                             \
    struct name : type_identity<name##_t<T>> {};
SIM_TRANSFORM(remove_cv, __remove_cv(T))
SIM_TRANSFORM(remove_const, __remove_const(T))
SIM_TRANSFORM(remove_volatile, __remove_volatile(T))
SIM_TRANSFORM(remove_reference, __remove_reference_t(T))
SIM_TRANSFORM(remove_pointer, __remove_pointer(T))
SIM_TRANSFORM(remove_extent, __remove_extent(T))
SIM_TRANSFORM(decay, __decay(T))
SIM_TRANSFORM(add_const, const T)
SIM_TRANSFORM(add_pointer, __remove_reference_t(T)*)
SIM_TRANSFORM(make_unsigned, __make_unsigned(T))
SIM_TRANSFORM(make_signed, __make_signed(T))
SIM_TRANSFORM(underlying_type, __underlying_type(T))
SIM_TRANSFORM(remove_addrspace, T) // all memory is one
template <class T>
using type_identity_t = typename type_identity<T>::type;
#undef SIM_TRANSFORM

#define SIM_PREDICATE(name, ...)                                                                   \
    template <class T>                                                                             \
    constexpr bool name##_v = __VA_ARGS__;                                                         \
    template <class T>                                                                             \
    struct name : bool_constant<name##_v<T>> {};
SIM_PREDICATE(is_integral, __is_integral(T))
SIM_PREDICATE(
    is_floating_point,
    __is_same(__remove_cv(T), float) || __is_same(__remove_cv(T), half) ||
        __is_same(__remove_cv(T), bfloat)
)
SIM_PREDICATE(is_arithmetic, is_integral_v<T> || is_floating_point_v<T>)
SIM_PREDICATE(is_scalar, is_arithmetic_v<T> || __is_enum(T) || __is_pointer(T))
SIM_PREDICATE(is_signed, is_floating_point_v<T> || __is_signed(T))
SIM_PREDICATE(is_unsigned, __is_unsigned(T))
SIM_PREDICATE(is_pointer, __is_pointer(T))
SIM_PREDICATE(is_reference, __is_reference(T))
SIM_PREDICATE(is_array, __is_array(T))
SIM_PREDICATE(is_enum, __is_enum(T))
SIM_PREDICATE(is_class, __is_class(T))
SIM_PREDICATE(is_union, __is_union(T))
SIM_PREDICATE(is_const, __is_const(T))
SIM_PREDICATE(is_void, __is_void(T))
SIM_PREDICATE(is_trivial, __is_trivial(T))
SIM_PREDICATE(is_trivially_copyable, __is_trivially_copyable(T))
SIM_PREDICATE(is_standard_layout, __is_standard_layout(T))
#undef SIM_PREDICATE

template <class A, class B>
constexpr bool is_same_v = __is_same(A, B);
template <class A, class B>
struct is_same : bool_constant<__is_same(A, B)> {};
template <class A, class B>
constexpr bool is_convertible_v = __is_convertible_to(A, B);
template <class A, class B>
struct is_convertible : bool_constant<__is_convertible_to(A, B)> {};
template <class A, class B>
constexpr bool is_base_of_v = __is_base_of(A, B);
template <class A, class B>
struct is_base_of : bool_constant<__is_base_of(A, B)> {};
template <class T, class... A>
constexpr bool is_constructible_v = __is_constructible(T, A...);
template <class T, class... A>
struct is_constructible : bool_constant<__is_constructible(T, A...)> {};

template <class...>
struct disjunction : false_type {};
template <class B, class... Rest>
struct disjunction<B, Rest...> : conditional_t<bool(B::value), B, disjunction<Rest...>> {};
template <class... B>
constexpr bool disjunction_v = disjunction<B...>::value;
template <class...>
struct conjunction : true_type {};
template <class B, class... Rest>
struct conjunction<B, Rest...> : conditional_t<bool(B::value), conjunction<Rest...>, B> {};
template <class... B>
constexpr bool conjunction_v = conjunction<B...>::value;
template <class B>
struct negation : bool_constant<!bool(B::value)> {};
template <class B>
constexpr bool negation_v = negation<B>::value;

template <class T>
T declval();
template <class T>
constexpr remove_reference_t<T>&& move(T&& x) {
    return static_cast<remove_reference_t<T>&&>(x);
}

} // namespace metal
