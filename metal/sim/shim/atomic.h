// atomic.h: <metal_atomic>, as far as the simulator has it: device and threadgroup atomics, relaxed.
#pragma once

namespace metal {

enum memory_order { memory_order_relaxed };
enum thread_scope {
    thread_scope_thread,
    thread_scope_simdgroup,
    thread_scope_threadgroup,
    thread_scope_device
};

template <class T>
struct atomic {
    T value;
};
template <class T>
using _atomic = atomic<T>;
using atomic_int = atomic<int>;
using atomic_uint = atomic<uint>;
using atomic_bool = atomic<bool>;
using atomic_float = atomic<float>;
using atomic_ulong = atomic<ulong>;

#define SIM_ATOMIC                                                                                 \
    template <class T>                                                                             \
    SIM_INLINE

SIM_ATOMIC T atomic_load_explicit(const volatile atomic<T>* a, memory_order) {
    T r;
    __atomic_load(&a->value, &r, __ATOMIC_RELAXED);
    return r;
}
SIM_ATOMIC void atomic_store_explicit(volatile atomic<T>* a, type_identity_t<T> x, memory_order) {
    __atomic_store(&a->value, &x, __ATOMIC_RELAXED);
}
SIM_ATOMIC T atomic_exchange_explicit(volatile atomic<T>* a, type_identity_t<T> x, memory_order) {
    T r;
    __atomic_exchange(&a->value, &x, &r, __ATOMIC_RELAXED);
    return r;
}
SIM_ATOMIC bool atomic_compare_exchange_weak_explicit(
    volatile atomic<T>* a,
    T* expected,
    type_identity_t<T> x,
    memory_order,
    memory_order
) {
    return __atomic_compare_exchange(
        &a->value, expected, &x, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED
    );
}

// atomic_update stores f(old) and returns old.
template <class T, class F>
SIM_INLINE T atomic_update(volatile atomic<T>* a, F f) {
    T old, next;
    __atomic_load(&a->value, &old, __ATOMIC_RELAXED);
    do
        next = f(old);
    while (
        !__atomic_compare_exchange(&a->value, &old, &next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
    );
    return old;
}
#define SIM_FETCH(name, expression)                                                                \
    SIM_ATOMIC T atomic_fetch_##name##_explicit(                                                   \
        volatile atomic<T>* a, type_identity_t<T> x, memory_order                                  \
    ) {                                                                                            \
        return atomic_update(a, [x](T old) { return T(expression); });                             \
    }
SIM_FETCH(add, old + x)
SIM_FETCH(sub, old - x)
SIM_FETCH(and, old& x)
SIM_FETCH(or, old | x)
SIM_FETCH(xor, old ^ x)
SIM_FETCH(min, min(old, x))
SIM_FETCH(max, max(old, x))
#undef SIM_FETCH
#undef SIM_ATOMIC

} // namespace metal

using metal::atomic_bool;
using metal::atomic_float;
using metal::atomic_int;
using metal::atomic_uint;
