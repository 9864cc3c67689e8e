// matrix.h: <metal_simdgroup_matrix>. Apple does not document which lane holds which element; this is the layout that
// MLX's kernels rely on (mlx/backend/metal/kernels/steel/gemm/mma.h, BaseMMAFrag): lane i holds two neighbours of row
// 4·(i/16) + (i/2)%4, from column 4·(i/8%2) + 2·(i%2) on.
#pragma once

namespace sim::shim {

SIM_INLINE int matrixRow(unsigned lane) {
    return int((lane >> 4 & 1) * 4 + (lane >> 1 & 3));
}
SIM_INLINE int matrixColumn(unsigned lane) {
    return int((lane >> 3 & 1) * 4 + (lane & 1) * 2);
}

// multiply computes c += a·b, two rows of c at a time.
SIM_RUNTIME void multiply(Simdgroup* g) {
    if (__builtin_expect(g->atOp != ~0u, 0)) {
        runtime->fail(
            g->lanes[__builtin_ctz(g->atOp)], "a simdgroup_matrix function needs all 32 lanes",
            g->opAt
        );
    }
    using Rows = float __attribute__((vector_size(64)));
    Rows c[4];
    __builtin_memcpy(c, g->c, sizeof c);
    for (int k = 0; k < 8; k++) {
        Rows b;
        __builtin_memcpy(&b, &g->b[k * 8], 32);
        b = __builtin_shufflevector(b, b, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7);
        for (int i = 0; i < 4; i++) {
            float x = g->a[i * 16 + k], y = g->a[i * 16 + 8 + k];
            Rows a = {x, x, x, x, x, x, x, x, y, y, y, y, y, y, y, y};
            c[i] += a * b;
        }
    }
    __builtin_memcpy(g->c, c, sizeof c);
    g->worker->counters.matrixMultiplies++;
    g->worker->counters.simdgroupOperations--; // arrive adds one, but it is counted above
}

// multiplyAdd posts the running lane's elements of three matrices and returns its two of a·b + c.
SIM_HOT metal::float2 multiplyAdd(
    metal::float2 a,
    metal::float2 b,
    metal::float2 c,
    Position here
) {
    Lane* lane = currentLane();
    Simdgroup* g = lane->simdgroup;
    int at = matrixRow(lane->lane) * 8 + matrixColumn(lane->lane);
    g->a[at] = a.e[0], g->a[at + 1] = a.e[1];
    g->b[at] = b.e[0], g->b[at + 1] = b.e[1];
    g->c[at] = c.e[0], g->c[at + 1] = c.e[1];
    arrive(lane, &multiply, here);
    return metal::float2(g->c[at], g->c[at + 1]);
}

} // namespace sim::shim

namespace metal {

template <class T, int Columns, int Rows>
struct simdgroup_matrix {
    static_assert(Columns == 8 && Rows == 8, "simdgroup_matrix is 8x8");
    static_assert(is_floating_point_v<T>, "simdgroup_matrix is of half, bfloat or float");
    using storage_type = vec<T, 2>;

    simdgroup_matrix() = default;
    // The diagonal matrix of x.
    SIM_INLINE explicit simdgroup_matrix(T x) {
        unsigned lane = sim::shim::lane();
        int row = sim::shim::matrixRow(lane), column = sim::shim::matrixColumn(lane);
        elements = storage_type(row == column ? x : T(0), row == column + 1 ? x : T(0));
    }
    SIM_INLINE storage_type& thread_elements() { return elements; }
    SIM_INLINE const storage_type& thread_elements() const { return elements; }

    storage_type elements;
};
using simdgroup_float8x8 = simdgroup_matrix<float, 8, 8>;
using simdgroup_half8x8 = simdgroup_matrix<half, 8, 8>;
using simdgroup_bfloat8x8 = simdgroup_matrix<bfloat, 8, 8>;

template <class T, int C, int R>
SIM_INLINE simdgroup_matrix<T, C, R> make_filled_simdgroup_matrix(T x) {
    simdgroup_matrix<T, C, R> m;
    m.elements = vec<T, 2>(x, x);
    return m;
}

// simdgroup_load and _store: every lane moves its two elements itself, so they need no rendezvous.
// p points at an array with `stride` elements to a row; origin is (column, row).
#define SIM_AT(row, column)                                                                        \
    ((origin.e[1] + ulong(transposed ? column : row)) * stride + origin.e[0] +                     \
     ulong(transposed ? row : column))
template <class T>
SIM_INLINE void simdgroup_load(
    simdgroup_matrix<T, 8, 8>& m,
    const T* p,
    ulong stride = 8,
    ulong2 origin = ulong2(0),
    bool transposed = false
) {
    unsigned lane = sim::shim::lane();
    int row = sim::shim::matrixRow(lane), column = sim::shim::matrixColumn(lane);
    m.elements.e[0] = p[SIM_AT(row, column)];
    m.elements.e[1] = p[SIM_AT(row, column + 1)];
}
template <class T>
SIM_INLINE void simdgroup_store(
    const simdgroup_matrix<T, 8, 8>& m,
    T* p,
    ulong stride = 8,
    ulong2 origin = ulong2(0),
    bool transposed = false
) {
    unsigned lane = sim::shim::lane();
    int row = sim::shim::matrixRow(lane), column = sim::shim::matrixColumn(lane);
    p[SIM_AT(row, column)] = m.elements.e[0];
    p[SIM_AT(row, column + 1)] = m.elements.e[1];
}
#undef SIM_AT

// d = a·b + c
template <class D, class A, class B, class C>
SIM_INLINE void simdgroup_multiply_accumulate(
    simdgroup_matrix<D, 8, 8>& d,
    const simdgroup_matrix<A, 8, 8>& a,
    const simdgroup_matrix<B, 8, 8>& b,
    const simdgroup_matrix<C, 8, 8>& c,
    SIM_HERE
) {
    d.elements = vec<D, 2>(
        sim::shim::multiplyAdd(float2(a.elements), float2(b.elements), float2(c.elements), here)
    );
}
template <class D, class A, class B>
SIM_INLINE void simdgroup_multiply(
    simdgroup_matrix<D, 8, 8>& d,
    const simdgroup_matrix<A, 8, 8>& a,
    const simdgroup_matrix<B, 8, 8>& b,
    SIM_HERE
) {
    d.elements =
        vec<D, 2>(sim::shim::multiplyAdd(float2(a.elements), float2(b.elements), float2(0.0f), here)
        );
}
template <class T>
SIM_INLINE simdgroup_matrix<T, 8, 8> operator*(
    const simdgroup_matrix<T, 8, 8>& a,
    const simdgroup_matrix<T, 8, 8>& b
) {
    simdgroup_matrix<T, 8, 8> d;
    simdgroup_multiply(d, a, b);
    return d;
}

} // namespace metal
