// msl.h stands for the simulator's header of the same name where kernels are compiled only to look at registers. Matrix
// products, SIMD-group functions and barriers are opaque, as on a GPU they are instructions. A matrix is the two elements of
// a lane: two registers of float, or one of half.
//
// For AArch64 they are calls, which the check counts. For AMDGPU they are empty assembly, so that LLVM's register allocator
// for GPUs shows how many registers the rest takes; pointers have address spaces there, as on Apple's GPUs.
#pragma once

#define SIM_CHECKED 0
#define SIM_INLINE  inline __attribute__((always_inline))
#define SIM_UNCHECKED
#define SIM_RUNTIME              SIM_INLINE
#define SIM_HOT                  SIM_INLINE
#define SIM_HERE                 int = 0
#define SIM_COPY(T, N, to, from) *(registers::whole<T, N>*)to = *(const registers::whole<T, N>*)from
#define SIM_CONVERTED(T, N, e)   registers::keepWhole<T, N>(e)

namespace registers {

template <class T, int N>
using whole = T __attribute__((ext_vector_type(N)));

// keepWhole makes one value of a vector's elements. AMDGPU would keep a half in a register of its own, where Apple's GPUs keep two.
template <class T, int N>
SIM_INLINE void keepWhole(T* elements) {
#ifdef __AMDGCN__
    if constexpr (sizeof(T) == 2 && N % 2 == 0) {
        whole<T, N>& value = *(whole<T, N>*)elements;
        asm("; %0" : "+v"(value));
    }
#endif
}

} // namespace registers

#include "types.h"
#include "traits.h"
#include "vec.h"
#include "math.h"
#include "integer.h"

namespace registers {

typedef float float2 __attribute__((ext_vector_type(2)));
typedef half half2 __attribute__((ext_vector_type(2)));

#ifdef __AMDGCN__

#define REGISTERS_KERNEL      __attribute__((amdgpu_kernel, used))
#define REGISTERS_DEVICE      __attribute__((address_space(1)))
#define REGISTERS_THREADGROUP __attribute__((address_space(3), loader_uninitialized))
#define REGISTERS_BINDINGS    __attribute__((address_space(4)))

SIM_INLINE float2 multiplyAdd(float2 c, half2 a, half2 b) {
    float x = c.x, y = c.y;
    asm("; product %0 %1 %2 %3" : "+v"(x), "+v"(y) : "v"(a), "v"(b));
    return float2{x, y};
}
SIM_INLINE float2 multiplyAdd(float2 c, float2 a, float2 b) {
    float x = c.x, y = c.y;
    asm("; product %0 %1 %2 %3" : "+v"(x), "+v"(y) : "v"(a), "v"(b));
    return float2{x, y};
}
template <class T>
SIM_INLINE T shuffle(T x, ushort lane) {
    T y;
    asm("; shuffle %0 %1 %2" : "=v"(y) : "v"(x), "v"(uint(lane)));
    return y;
}
SIM_INLINE void barrier() {
    asm volatile("; barrier" ::: "memory");
}
SIM_INLINE uint threadIndex() {
    return __builtin_amdgcn_workitem_id_x();
}
SIM_INLINE uint group(int axis) {
    return axis == 0 ? __builtin_amdgcn_workgroup_id_x() : __builtin_amdgcn_workgroup_id_y();
}

#else

#define REGISTERS_KERNEL __attribute__((used))
#define REGISTERS_DEVICE
#define REGISTERS_THREADGROUP
#define REGISTERS_BINDINGS

// These are const: nothing but their results and arguments matters to registers.
extern "C" {
__attribute__((const)) float2 multiply_accumulate_half(float2, half2, half2);
__attribute__((const)) float2 multiply_accumulate_float(float2, float2, float2);
__attribute__((const)) float shuffle_float(float, int);
__attribute__((const)) half2 shuffle_half2(half2, int);
__attribute__((const)) uint thread_index();
__attribute__((const)) uint group_position(int axis);
void wait_for_others();
}

SIM_INLINE float2 multiplyAdd(float2 c, half2 a, half2 b) {
    return multiply_accumulate_half(c, a, b);
}
SIM_INLINE float2 multiplyAdd(float2 c, float2 a, float2 b) {
    return multiply_accumulate_float(c, a, b);
}
SIM_INLINE float shuffle(float x, ushort lane) {
    return shuffle_float(x, lane);
}
SIM_INLINE half2 shuffle(half2 x, ushort lane) {
    return shuffle_half2(x, lane);
}
SIM_INLINE void barrier() {
    wait_for_others();
}
SIM_INLINE uint threadIndex() {
    return thread_index();
}
SIM_INLINE uint group(int axis) {
    return group_position(axis);
}

#endif

} // namespace registers

namespace metal {

enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2 };

SIM_INLINE void threadgroup_barrier(mem_flags) {
    registers::barrier();
}
SIM_INLINE void simdgroup_barrier(mem_flags) {
    registers::barrier();
}

SIM_INLINE float simd_shuffle_xor(float x, ushort lanes) {
    return registers::shuffle(x, lanes);
}
SIM_INLINE float simd_sum(float x) {
    return registers::shuffle(x, ushort(32));
}
SIM_INLINE float simd_shuffle(float x, ushort lane) {
    return registers::shuffle(x, lane);
}
SIM_INLINE half2 simd_shuffle(half2 x, ushort lane) {
    const registers::half2 y = registers::shuffle(registers::half2{x.e[0], x.e[1]}, lane);
    return half2(half(y.x), half(y.y));
}

template <class T, int Columns, int Rows>
struct simdgroup_matrix {
    SIM_INLINE vec<T, 2>& thread_elements() { return elements; }
    SIM_INLINE const vec<T, 2>& thread_elements() const { return elements; }
    vec<T, 2> elements;
};
using simdgroup_float8x8 = simdgroup_matrix<float, 8, 8>;

template <class T, int C, int R>
SIM_INLINE simdgroup_matrix<T, C, R> make_filled_simdgroup_matrix(T x) {
    simdgroup_matrix<T, C, R> m;
    m.elements = vec<T, 2>(x, x);
    return m;
}

template <class T>
SIM_INLINE void simdgroup_load(simdgroup_matrix<T, 8, 8>& m, const T* p, ulong stride) {
    const T* from = p + registers::threadIndex() % 32 * stride;
    m.elements = vec<T, 2>(from[0], from[1]);
}

template <class T>
SIM_INLINE void simdgroup_multiply_accumulate(
    simdgroup_float8x8& d,
    const simdgroup_matrix<T, 8, 8>& a,
    const simdgroup_matrix<T, 8, 8>& b,
    const simdgroup_float8x8& c
) {
    typedef T pair __attribute__((ext_vector_type(2)));
    const registers::float2 result = registers::multiplyAdd(
        registers::float2{c.elements.e[0], c.elements.e[1]}, pair{a.elements.e[0], a.elements.e[1]},
        pair{b.elements.e[0], b.elements.e[1]}
    );
    d.elements = vec<float, 2>(result.x, result.y);
}

} // namespace metal

// The names that package msl's rewrite uses.
namespace sim::shim {

typedef const ulong REGISTERS_BINDINGS* Bindings; // addresses by buffer index

struct Position {
    const char* file;
    int line;
};

template <auto F, int Index, class T, bool Zeroed>
struct Variable {
    static inline REGISTERS_THREADGROUP T memory;
};
template <auto F, int Index, class T, unsigned Align, bool Zeroed>
SIM_INLINE T& variable(const char*, Position) {
    return *(T*)&Variable<F, Index, T, Zeroed>::memory;
}

template <int Index>
struct Buffer {
    template <class P>
    SIM_INLINE static P get(Bindings bindings) {
        using T = metal::remove_reference_t<metal::remove_pointer_t<metal::remove_reference_t<P>>>;
        T* address = (T*)(REGISTERS_DEVICE T*)bindings[Index];
        if constexpr (__is_lvalue_reference(P)) {
            return *address;
        } else {
            return address;
        }
    }
};

#define REGISTERS_BUILTIN(name, x, y)                                                              \
    struct name {                                                                                  \
        template <class P>                                                                         \
        SIM_INLINE static P get(Bindings) {                                                        \
            using T = metal::remove_cv_t<P>;                                                       \
            if constexpr (metal::detail::size_of<T> == 1)                                          \
                return P(x);                                                                       \
            else                                                                                   \
                return T(x, y);                                                                    \
        }                                                                                          \
    };
namespace builtin {
REGISTERS_BUILTIN(threadgroup_position_in_grid, registers::group(0), registers::group(1))
REGISTERS_BUILTIN(thread_index_in_threadgroup, registers::threadIndex(), 0)
REGISTERS_BUILTIN(thread_index_in_simdgroup, registers::threadIndex() % 32, 0)
REGISTERS_BUILTIN(simdgroup_index_in_threadgroup, registers::threadIndex() / 32, 0)
REGISTERS_BUILTIN(simdgroups_per_threadgroup, 4, 0)
} // namespace builtin

template <class F>
struct Call;
template <class... P>
struct Call<void (*)(P...)> {
    template <auto F, class... Parameters>
    static REGISTERS_KERNEL void run(Bindings bindings) {
        F(Parameters::template get<P>(bindings)...);
    }
};

template <auto F, class... Parameters>
struct EntryOf {
    static constexpr auto run = &Call<decltype(F)>::template run<F, Parameters...>;
    EntryOf(const char*, unsigned, unsigned) {}
};

} // namespace sim::shim
#define SIM_LIBRARY

// Address spaces. All memory is one.
#define device
#define thread
#define threadgroup
#define constant const
