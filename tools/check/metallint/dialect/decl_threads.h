// Part 4 of 4 of the stand-in for <metal_stdlib>: operations that threads do together.
namespace metal {
// ---- <metal_simdgroup>, <metal_quadgroup>, barriers --------------------------------------------------------------

enum class mem_flags {
    mem_none = 0,
    mem_device = 1,
    mem_threadgroup = 2,
    mem_texture = 4,
    mem_threadgroup_imageblock = 8
};
constexpr mem_flags operator|(mem_flags a, mem_flags b) {
    return mem_flags(int(a) | int(b));
}
void threadgroup_barrier(mem_flags);
void simdgroup_barrier(mem_flags);

// Types that lanes may exchange: numbers and vectors of them, but not bfloat.
template <class T>
using lint_lane = enable_if_t<
    (__is_arithmetic(T) || lint_shape<T>::isVector || __is_enum(T)) && !is_same_v<T, bfloat>>;

#define LINT_GROUP(group)                                                                          \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_sum(T);                                                                              \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_product(T);                                                                          \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_min(T);                                                                              \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_max(T);                                                                              \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_and(T);                                                                              \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_or(T);                                                                               \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_xor(T);                                                                              \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_prefix_inclusive_sum(T);                                                             \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_prefix_exclusive_sum(T);                                                             \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_prefix_inclusive_product(T);                                                         \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_prefix_exclusive_product(T);                                                         \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_broadcast(T, ushort);                                                                \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_broadcast_first(T);                                                                  \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_shuffle(T, ushort);                                                                  \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_shuffle_up(T, ushort);                                                               \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_shuffle_down(T, ushort);                                                             \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_shuffle_rotate_up(T, ushort);                                                        \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_shuffle_rotate_down(T, ushort);                                                      \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_shuffle_xor(T, ushort);                                                              \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_shuffle_and_fill_up(T, T, ushort);                                                   \
    template <class T, class = lint_lane<T>>                                                       \
    T group##_shuffle_and_fill_down(T, T, ushort);                                                 \
    bool group##_all(bool);                                                                        \
    bool group##_any(bool);                                                                        \
    bool group##_is_first();                                                                       \
    bool group##_is_helper_thread();
LINT_GROUP(simd)
LINT_GROUP(quad)
struct simd_vote {
    using vote_t = ulong;
    bool all() const;
    bool any() const;
    explicit operator vote_t() const;
};
struct quad_vote {
    using vote_t = uint;
    bool all() const;
    bool any() const;
    explicit operator vote_t() const;
};
simd_vote simd_ballot(bool);
simd_vote simd_active_threads_mask();
quad_vote quad_ballot(bool);
quad_vote quad_active_threads_mask();

// ---- <metal_simdgroup_matrix> ------------------------------------------------------------------------------------

template <class T, int Cols, int Rows>
struct simdgroup_matrix {
    static_assert(Cols == 8 && Rows == 8, "a simdgroup_matrix is 8 by 8");
    static_assert(__is_floating_point(T), "a simdgroup_matrix is of half, bfloat or float");
    simdgroup_matrix() = default;
    explicit simdgroup_matrix(T);
    lint_vector<T, 2>& thread_elements();
    const lint_vector<T, 2>& thread_elements() const;
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8, 8> simdgroup_bfloat8x8;

template <class T, int Cols, int Rows>
simdgroup_matrix<T, Cols, Rows> make_filled_simdgroup_matrix(lint_exactly<T>);
template <class T, int Cols, int Rows>
simdgroup_matrix<T, Cols, Rows> make_diagonal_simdgroup_matrix(lint_exactly<T>);
#define LINT_MATRIX_MEMORY(space)                                                                  \
    template <class T, int C, int R>                                                               \
    void simdgroup_load(                                                                           \
        simdgroup_matrix<T, C, R>&, const space T*, ulong elements_per_row = C, ulong2 origin = 0, \
        bool transpose = false                                                                     \
    );                                                                                             \
    template <class T, int C, int R>                                                               \
    void simdgroup_store(                                                                          \
        const simdgroup_matrix<T, C, R>&, space T*, ulong elements_per_row = C, ulong2 origin = 0, \
        bool transpose = false                                                                     \
    );
LINT_MATRIX_MEMORY(device)
LINT_MATRIX_MEMORY(threadgroup)
template <class D, class A, class B>
void simdgroup_multiply(simdgroup_matrix<D, 8, 8>&, const simdgroup_matrix<A, 8, 8>&, const simdgroup_matrix<B, 8, 8>&);
template <class D, class A, class B, class C>
void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8>&, const simdgroup_matrix<A, 8, 8>&, const simdgroup_matrix<B, 8, 8>&, const simdgroup_matrix<C, 8, 8>&);
template <class T>
simdgroup_matrix<T, 8, 8>
operator*(const simdgroup_matrix<T, 8, 8>&, const simdgroup_matrix<T, 8, 8>&);
template <class T>
simdgroup_matrix<T, 8, 8>
operator+(const simdgroup_matrix<T, 8, 8>&, const simdgroup_matrix<T, 8, 8>&);

// ---- <metal_atomic> ----------------------------------------------------------------------------------------------

template <class T>
struct atomic {
    T value;
};
template <class T>
using _atomic = atomic<T>;
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
typedef atomic<bool> atomic_bool;
typedef atomic<float> atomic_float;
typedef atomic<ulong> atomic_ulong;
enum memory_order {
    memory_order_relaxed,
    memory_order_acquire,
    memory_order_release,
    memory_order_acq_rel,
    memory_order_seq_cst
};
enum thread_scope {
    thread_scope_thread,
    thread_scope_simdgroup,
    thread_scope_threadgroup,
    thread_scope_device
};
void atomic_thread_fence(mem_flags, memory_order, thread_scope = thread_scope_device);
#define LINT_ATOMIC_OP(space, name)                                                                \
    template <class T>                                                                             \
    T name(volatile space atomic<T>*, lint_exactly<T>, memory_order);
#define LINT_ATOMICS(space)                                                                        \
    template <class T>                                                                             \
    T atomic_load_explicit(const volatile space atomic<T>*, memory_order);                         \
    template <class T>                                                                             \
    void atomic_store_explicit(volatile space atomic<T>*, lint_exactly<T>, memory_order);          \
    template <class T>                                                                             \
    bool atomic_compare_exchange_weak_explicit(                                                    \
        volatile space atomic<T>*, thread T*, lint_exactly<T>, memory_order, memory_order          \
    );                                                                                             \
    LINT_ATOMIC_OP(space, atomic_exchange_explicit)                                                \
    LINT_ATOMIC_OP(space, atomic_fetch_add_explicit)                                               \
    LINT_ATOMIC_OP(space, atomic_fetch_sub_explicit)                                               \
    LINT_ATOMIC_OP(space, atomic_fetch_and_explicit)                                               \
    LINT_ATOMIC_OP(space, atomic_fetch_or_explicit)                                                \
    LINT_ATOMIC_OP(space, atomic_fetch_xor_explicit)                                               \
    LINT_ATOMIC_OP(space, atomic_fetch_min_explicit)                                               \
    LINT_ATOMIC_OP(space, atomic_fetch_max_explicit)
LINT_ATOMICS(device)
LINT_ATOMICS(threadgroup)
} // namespace metal
