// msl.h stands for the simulator's header of the same name where kernels are compiled only to look at registers: matrix
// products, SIMD-group functions and barriers are calls to functions that the compiler does not see, as on a GPU they are
// instructions. A matrix is the two elements of a lane.
#pragma once

// The simulator finds the running lane by its stack pointer; here it comes from a function.
#define currentLane laneByStack
#include "rt/abi.h"
#undef currentLane

#define SIM_CHECKED 0
#define SIM_INLINE  inline __attribute__((always_inline))
#define SIM_UNCHECKED
#define SIM_RUNTIME SIM_INLINE
#define SIM_HOT     SIM_INLINE
#define SIM_HERE    int = 0

#include "types.h"
#include "traits.h"
#include "vec.h"
#include "math.h"
#include "integer.h"

namespace sim {
extern "C" __attribute__((const)) Lane* lane_of();
SIM_INLINE Lane* currentLane() {
    return lane_of();
}
} // namespace sim

namespace sim::shim {
inline const Runtime* runtime;
SIM_INLINE unsigned lane() {
    return currentLane()->lane;
}
} // namespace sim::shim

// These are const: nothing but their results and arguments matters to registers.
extern "C" {
typedef float registers_f2 __attribute__((ext_vector_type(2)));
__attribute__((const)) registers_f2
multiply_accumulate_half(registers_f2, _Float16, _Float16, _Float16, _Float16);
__attribute__((const)) registers_f2
multiply_accumulate_float(registers_f2, float, float, float, float);
__attribute__((const)) float shuffle_float(float, int);
__attribute__((const)) _Float16 shuffle_half(_Float16, int);
void barrier(int);
}

namespace metal {

enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2 };

SIM_INLINE void threadgroup_barrier(mem_flags flags) {
    barrier(int(flags));
}
SIM_INLINE void simdgroup_barrier(mem_flags flags) {
    barrier(int(flags));
}

SIM_INLINE float simd_shuffle_xor(float x, ushort lanes) {
    return shuffle_float(x, lanes);
}
SIM_INLINE float simd_sum(float x) {
    return shuffle_float(x, 32);
}
SIM_INLINE half2 simd_shuffle(half2 x, ushort lane) {
    return half2(shuffle_half(x.e[0], lane), shuffle_half(x.e[1], lane));
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
    const T* from = p + sim::shim::lane() * stride;
    m.elements = vec<T, 2>(from[0], from[1]);
}

template <class T>
SIM_INLINE void simdgroup_multiply_accumulate(
    simdgroup_float8x8& d,
    const simdgroup_matrix<T, 8, 8>& a,
    const simdgroup_matrix<T, 8, 8>& b,
    const simdgroup_float8x8& c
) {
    const registers_f2 sum = {c.elements.e[0], c.elements.e[1]};
    const vec<T, 2> x = a.elements, y = b.elements;
    registers_f2 result;
    if constexpr (sizeof(T) == 2) {
        result = multiply_accumulate_half(sum, x.e[0], x.e[1], y.e[0], y.e[1]);
    } else {
        result = multiply_accumulate_float(sum, x.e[0], x.e[1], y.e[0], y.e[1]);
    }
    d.elements = vec<float, 2>(result.x, result.y);
}

} // namespace metal

#include "entry.h"

// Address spaces. All memory is one.
#define device
#define thread
#define threadgroup
#define constant const
