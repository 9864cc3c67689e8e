// attention.metal: a stand-in for the larger kernels: templates, host names, function constants, matrices, structs.
//   y[t,h] = sum over s of softmax(q[t] . k[s]) v[s,h]
// Buffers: 0 Args  1 q [T,H] f16  2 k [T,H] f16  3 v [T,H] f16  4 y [T,H] f16  5 counter [1] u32, if counting
// Grid: T groups of 64 threads
// Threadgroup memory: tiles of 8 rows and 2*32 f32
// Needs: H % 8 == 0
#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;

struct Args {
    uint tokens;
    uint width;
    float scale;
};

// A running softmax: the largest logit so far, and the sum of the exponentials relative to it.
struct Running {
    float largest, sum;
};

constant bool causal [[function_constant(0)]];
constant bool counting [[function_constant(1)]];
constant uint window [[function_constant(2)]];
constant bool windowed = is_function_constant_defined(window) && window > 0;

constexpr constant short simdWidth = 32;
constant float weights[4] = {1.0, 0.5, 0.25, .125};

template <typename T, int N>
struct Tile {
    static constexpr constant int size = N * N;
    T values[size];

    void fill(T x) {
        for (short i = 0; i < size; i++) {
            values[i] = x;
        }
    }
    void load(const device T* from, uint stride) thread {
        for (short r = 0; r < N; r++) {
            for (short c = 0; c < N; c++)
                values[r * N + c] = from[r * stride + c];
        }
    }
    T sum() const thread {
        T total = T(0);
        for (short i = 0; i < size; i++) {
            total += values[i];
        }
        return total;
    }
};

struct Sum {
    template <typename T>
    static METAL_FUNC T apply(T a, T b) {
        return a + b;
    }
    template <typename T>
    T operator()(T a, T b) const {
        return a + b;
    }
};

template <typename T, typename Op>
T fold(const thread T* x, short n, Op op) {
    T total = x[0];
    for (short i = 1; i < n; i++) {
        total = op(total, x[i]);
    }
    return total;
}

template <typename T, int N>
T last(const thread T (&x)[N], const device T* p) {
    const T initial = T(*p);
    return T(x[N - 1]) + initial;
}

inline Running merge(Running a, Running b) {
    const float largest = max(a.largest, b.largest);
    const float fading = fast::exp(b.largest - largest); // few bits are enough
    return Running{largest, a.sum * exp(a.largest - largest) + b.sum * fading};
}

// Overloads that call each other are no recursion.
inline float total(float4 x) {
    return x.x + x.y + x.z + x.w;
}
inline float total(half4 x) {
    return total(float4(x));
}
inline float total(const device half4* x) {
    return total(x[0]);
}
inline float total(const threadgroup float* x) {
    return x[0];
}
inline float total(constant float x[4], short n) {
    return x[n - 1];
}
inline bool4 isLarge(float4 x) {
    return x > 100;
}

template <typename T, int N>
[[kernel, max_total_threads_per_threadgroup(64)]] void attention(
    constant Args& args [[buffer(0)]],
    const device T* q [[buffer(1)]],
    const device T* k [[buffer(2)]],
    const device T* v [[buffer(3)]],
    device T* y [[buffer(4)]],
    device atomic_uint* counter [[buffer(5), function_constant(counting)]],
    threadgroup float* scratch [[threadgroup(0)]],
    uint3 group [[threadgroup_position_in_grid]],
    ushort thread_index [[thread_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]]
) {
    using Vector = vec<T, 4>;
    threadgroup T tile[8 * N], other[8];
    threadgroup Running partial[simdWidth];
    const uint row = group.x;
    const Args local = args;
    if (row >= local.tokens) return;

    const device Vector* q4 = (const device Vector*)(q + row * args.width);
    float logit = 0;
    for (uint i = lane; i < args.width / 4; i += simdWidth) {
        const device Vector* k4 = reinterpret_cast<const device Vector*>(k);
        logit += dot(float4(q4[i]), static_cast<float4>(k4[i])) * args.scale;
    }
    logit = simd_sum(logit) + Vector(1).x + float(T(0.5));
    if (causal && (!windowed || row < window)) {
        logit = -INFINITY;
    }
    Running running{logit, 1.0};
    partial[lane] = running;
    threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);
    running = merge(running, partial[(lane + 1) % 32]);
    Running copy = partial[simdgroup];
    running = merge(copy, Running{0.0, 1.0f});

    simdgroup_matrix<float, 8, 8> sum = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    simdgroup_matrix<T, 8, 8> a, b;
    simdgroup_load(a, q + row, args.width);
    simdgroup_load(b, tile, 8, ulong2(0, 0), true);
    simdgroup_multiply_accumulate(sum, a, b, sum);
    simdgroup_store(sum, scratch, 8);
    sum.thread_elements()[0] *= 2;

    thread float values[4] = {1, 2, 3, 4};
    T registers[2] = {T(1), T(2)};
    other[0] = T(fold(values, 4, Sum()) + Sum::apply(1.0f, logit)) + last(registers, q);
    Tile<T, 4> small;
    small.fill(T(0.5h));
    small.load(v, args.width);
    uint packed = as_type<uint>(half2(0.5h, 1.0h));
    int sign = select(1, -1, logit < 0) + int(packed & 0xFu) + int(clz(packed) + popcount(packed));
    float4 w = float4(weights[0], float2(1, 2), as_type<float>(0x3f800000));
    w.xy = w.zw;
    bool4 larger = w > total(weights, 4);
    larger = isLarge(w);
    larger = w.wzyx <= w;
    if (any(larger) && all(w > float4(0))) {
        w = clamp(w, 0.0f, 1.0f) + fma(w, w, w) + mix(w, w, 0.5f);
    }
    device Vector* out = (device Vector*)y + row;
    out[0] = Vector(w * running.sum + float(sign) + float(small.sum()) + total(w) + total(scratch));
    out[0].x = T(logit) + T(thread_index);
    if (counting) {
        atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    }
}

#define instantiate(name, T, N)                                                                    \
    template [[host_name(name)]] [[kernel]] decltype(attention<T, N>) attention<T, N>;

instantiate("attention_f16_8", half, 8) instantiate("attention_f32_16", float, 16)
#if __METAL_VERSION__ >= 310
    instantiate(
        "attention_"
        "bf16_8",
        bfloat,
        8
    )
#endif
