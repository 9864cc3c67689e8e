// gemm_dot.h: products of bytes, in tiles like those of gemm_f32.h. All instructions for them have one form: each lane adds
// to a 32-bit sum the products of a group of terms that together take 32 bits, four bytes or two of 16 bits. So one row
// of weights is a vector of groups, and one value of x is a group, broadcast.
//
// DOT_I8 is that instruction, where a variant has it: vi DOT_I8(vi sum, vi x, vi w). DOT_I16 is the same for signed terms of
// 16 bits; a variant names it where it multiplies more in a second than floats do.

// How the bytes of an int8 row are stored: U8 as they are, S8 less 128, S16 widened.
enum { STORE_U8, STORE_S8, STORE_S16 };

typedef unsigned char vu8 __attribute__((vector_size(W)));

// column holds the sums of weights, the scales and the biases of W columns.
struct column {
    vf sums, scales, bias;
};

INLINE struct column load_column(const struct linear* w, int n) {
    vf sums = __builtin_convertvector(vi_load(w->sums + n), vf);
    return (struct column){sums, vf_load(w->scales + n), vf_load(w->bias + n)};
}

// finish_i8 turns sums of products of bytes into the values that they stand for:
//   Σ (x - zero) w · (scale of the row · scale of the column) = (Σ x w - zero Σ w) · …
// Sums are floats before the zero is corrected for. At 2¹¹ terms they are below 2²⁶, so that this rounds by at most 2, where a
// step of the input alone weighs up to 127.
INLINE vf finish_i8(vi sum, struct column c, struct quantised row) {
    vf centred = vf_fma(vf_set(-row.zero), c.sums, __builtin_convertvector(sum, vf));
    return vf_fma(centred, c.scales * row.scale, c.bias);
}

// Clang makes vpmaddwd and vpaddd of the intrinsic, where a sum's instructions wait for each other, but not of the instruction's name.
#if defined(I16_CODE) && defined(__clang__)
INLINE vi dot_i16(vi sum, vi x, vi w) {
    __asm__(I16_CODE " %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
    return sum;
}
#undef DOT_I16
#define DOT_I16 dot_i16
#endif

#ifdef DOT_I8
#ifndef DOT_I16
#define DOT_I16 DOT_I8
#else
#define WITH_I16
#endif

INLINE void finish_tile(
    const int rows,
    const struct product* p,
    int r,
    int n,
    vi (*sum)[TILE_VECTORS],
    const bool residual
) {
    const struct quantised* of = p->rows + r;
    ptrdiff_t stride = p->y_stride, residual_stride = p->residual_stride;
    float* y = p->y + r * stride + n;
    const float* added = residual ? p->residual + r * residual_stride + n : NULL;
    UNROLL for (int v = 0; v < TILE_VECTORS; v++) {
        struct column c = load_column(p->w, n + v * W);
        UNROLL for (int i = 0; i < rows; i++) {
            vf value = finish_i8(sum[i][v], c, of[i]);
            if (residual) value += vf_load(added + i * residual_stride + v * W);
            vf_store(y + i * stride + v * W, value);
        }
    }
}

// Groups of terms between branches, of which rows have a multiple. A step of the first PREFETCHING tiles of a panel fetches
// two cache lines of the next panel, so that they fetch all of it.
enum { STEP = 4, STEP_BYTES = STEP * PANEL * 4, PREFETCHING = STEP_BYTES / 128 };

// sum_tile makes the sums of a tile of rows x by a panel w. Terms are bytes, or 16 bits where `wide` is set. Meanwhile it
// fetches cache lines from `next` on, unless that is NULL, and for bytes the rows of y that the results go to.
INLINE void sum_tile(
    const int rows,
    const bool wide,
    const int32_t* x,
    ptrdiff_t x_stride,
    const int32_t* w,
    int groups,
    const char* next,
    const float* y,
    ptrdiff_t y_stride,
    vi (*sum)[TILE_VECTORS]
) {
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < TILE_VECTORS; v++) sum[i][v] =
        vi_set(0);
    // Every third row, whose address the compiler must not derive from x: with three offsets from them all fit registers.
    const int32_t* third[(TILE_ROWS + 2) / 3];
    UNROLL for (int i = 0; i < rows; i += 3) {
        third[i / 3] = x + i * x_stride;
        __asm__("" : "+r"(third[i / 3]));
    }
    for (int g = 0; g < groups; g += STEP, w += STEP * PANEL) {
        if (next) {
            __builtin_prefetch(next, 0, 2);
            __builtin_prefetch(next + 64, 0, 2);
            next += 128;
        }
        if (!wide) {
            UNROLL for (int i = 0; i < PANEL; i += W) __builtin_prefetch(y + i, 1, 3);
            y += g < (rows - 1) * STEP ? y_stride : 0;
        }
        UNROLL for (int s = 0; s < STEP; s++) {
            vi weights[TILE_VECTORS];
            UNROLL for (int v = 0; v < TILE_VECTORS; v++) weights[v] =
                vi_load(w + s * PANEL + v * W);
            UNROLL for (int i = 0; i < rows; i++) {
                vi value = vi_set(third[i / 3][g + s + i % 3 * x_stride]);
                UNROLL for (int v = 0; v < TILE_VECTORS; v++) {
                    sum[i][v] = wide ? DOT_I16(sum[i][v], value, weights[v])
                                     : DOT_I8(sum[i][v], value, weights[v]);
                    if (I8_STORE == STORE_S16) VI_KEEP(sum[i][v]);
                }
            }
        }
    }
}

INLINE void tile_dot_rows(
    const int rows,
    const struct product* p,
    int r,
    int n,
    const int32_t* x,
    ptrdiff_t x_stride,
    const int32_t* w,
    int groups,
    const char* next
) {
    vi sum[TILE_ROWS][TILE_VECTORS];
    sum_tile(
        rows, false, x, x_stride, w, groups, next, p->y + r * p->y_stride + n, p->y_stride, sum
    );
    if (p->residual) {
        finish_tile(rows, p, r, n, sum, true);
    } else {
        finish_tile(rows, p, r, n, sum, false);
    }
}

// As with tile_f32, not inlined.
#define TILE_DOT(rows)                                                                             \
    static NOINLINE void tile_dot_##rows(                                                          \
        const struct product* p, int r, int n, const int32_t* x, ptrdiff_t x_stride,               \
        const int32_t* w, int groups, const char* next                                             \
    ) {                                                                                            \
        tile_dot_rows(rows, p, r, n, x, x_stride, w, groups, next);                                \
    }
#define NAME_TILE_DOT(rows) tile_dot_##rows,
TILE_HEIGHTS(TILE_DOT)
static void (*const tile_dot
                 [])(const struct product*, int, int, const int32_t*, ptrdiff_t, const int32_t*, int, const char*) =
    {NULL, TILE_HEIGHTS(NAME_TILE_DOT)};

static void run_i8(const struct product* p) {
    const int input_bytes = I8_STORE == STORE_S16 ? 2 : 1;
    int height = p->m ? tile_height(p->m, TILE_ROWS) : 1;
    int groups = p->w->k * input_bytes / 4;
    ptrdiff_t x_stride = p->x_stride * input_bytes / 4;
    for (int n = 0; n < p->w->n; n += PANEL) {
        const int32_t* w = (const int32_t*)p->w->panels + (ptrdiff_t)n * groups;
        for (int r = 0; r < p->m; r += height) {
            int rows = p->m - r < height ? p->m - r : height, tile = r / height;
            bool fetch = tile < PREFETCHING && n + PANEL < p->w->n;
            const int32_t* next = w + (ptrdiff_t)PANEL * groups;
            tile_dot[rows](
                p, r, n, (const int32_t*)p->x + r * x_stride, x_stride, w, groups,
                fetch ? (const char*)next + tile * 128 * (groups / STEP) : NULL
            );
            activate(p->activation, true, p->y + r * p->y_stride + n, p->y_stride, rows, PANEL);
        }
    }
}
#endif

// GCC 12 does some conversions lane by lane, so that a variant may name the instructions.
#ifdef I8_STORE
// vi_bytes stores 4 W values as bytes. VI_BYTES keeps those beyond 0 to 255 at the nearer end.
INLINE void vi_bytes(void* to, const vi v[4]) {
#ifdef VI_BYTES
    VI_BYTES(to, v[0], v[1], v[2], v[3]);
#else
    UNROLL for (int i = 0; i < 4; i++) {
        vu8 bytes = __builtin_convertvector(v[i], vu8);
        memcpy((char*)to + i * W, &bytes, sizeof bytes);
    }
#endif
}

// vi_shorts stores 2 W values as 16 bits.
INLINE void vi_shorts(uint16_t* to, vi first, vi second) {
#ifdef VI_SHORTS
    VI_SHORTS(to, first, second);
#else
    vu16 shorts[2] = {__builtin_convertvector(first, vu16), __builtin_convertvector(second, vu16)};
    memcpy(to, shorts, sizeof shorts);
#endif
}
#endif

// load_row loads W values of a row of floats, or of bfloat16.
INLINE vf load_row(const void* x, int i, const bool half) {
    if (!half) return vf_load((const float*)x + i);
    vu16 v;
    memcpy(&v, (const uint16_t*)x + i, sizeof v);
    return (vf)(vi_widened(v) << 16);
}

#ifdef I8_STORE
// range_of gives a row its own scale and zero, so that its smallest and largest value, and zero itself, are within the 256
// steps. A row of zeros has scale 0; one with an infinity has scale NaN, which makes all its products NaN. A NaN in a row is left
// to `lose`. It returns the steps of 1.
INLINE float range_of(const void* x, int k, const bool half, struct quantised* row) {
    vf low[2] = {{0}, {0}}, high[2] = {{0}, {0}};
    for (int i = 0; i < k; i += 2 * W)
        UNROLL for (int j = 0; j < 2; j++) {
            vf v = load_row(x, i + j * W, half);
            low[j] = vf_min(low[j], v);
            high[j] = vf_max(high[j], v);
        }
    float least = -vf_top(-vf_min(low[0], low[1])),
          range = vf_top(vf_max(high[0], high[1])) - least;
    if (!(range < __builtin_inff())) {
        *row = (struct quantised){__builtin_nanf(""), 0};
        return 0;
    }
    float inverse = range > 0 ? 255 / range : 0;
    *row = (struct quantised){range / 255, __builtin_rintf(-least * inverse)};
    return inverse;
}

// quantise writes the steps of 4 W values of a row: adding ROUNDING rounds, and so does the one fused addition of the zero to it.
// It adds the bits of those sums to `seen`. A value at the end of the range may round to one step beyond it: bytes stay within, 16
// bits have room.
INLINE void quantise(
    const void* x,
    const bool half,
    float inverse,
    float zero,
    int offset,
    vi* seen,
    void* to
) {
    vi q[4];
    UNROLL for (int i = 0; i < 4; i++) {
        vf v = vf_fma(load_row(x, i * W, half), vf_set(inverse), vf_set(zero + ROUNDING));
        *seen |= (vi)v;
#ifndef VI_BYTES
        if (I8_STORE != STORE_S16) v = vf_min(vf_max(v, vf_set(ROUNDING)), vf_set(ROUNDING + 255));
#endif
        q[i] = (vi)v - (vi)vf_set(ROUNDING) - offset;
    }
    if (I8_STORE == STORE_S16)
        UNROLL for (int i = 0; i < 4; i += 2) vi_shorts((uint16_t*)to + i * W, q[i], q[i + 1]);
    else
        vi_bytes(to, q);
}

// lose sets the scale of a row to NaN if quantise has seen a NaN. `seen` has the bits of all its sums; a NaN's exponent has bits
// that no finite sum has.
INLINE void lose(struct quantised* row, vi seen) {
    int bits = 0;
    UNROLL for (int i = 0; i < W; i++) bits |= seen[i];
    if (bits & 0x34800000) row->scale = __builtin_nanf("");
}

#ifndef WITH_AMX
static void narrow_i8(
    const void* from,
    ptrdiff_t x_stride,
    int m,
    int k,
    void* y,
    ptrdiff_t y_stride,
    struct quantised* rows
) {
    const float* x = from;
    const int offset = I8_STORE == STORE_S8 ? 128 : 0, bytes = I8_STORE == STORE_S16 ? 2 : 1;
    float inverse = m > 0 ? range_of(x, k, false, &rows[0]) : 0;
    for (int r = 0; r < m; r++, x += x_stride) {
        // The next row's range is found while this one is rounded: its last steps wait for each other. The row behind that is
        // fetched into the first cache.
        float next = r + 1 < m ? range_of(x + x_stride, k, false, &rows[r + 1]) : 0;
        vi seen = vi_set(0);
        for (int i = 0; i < k; i += 4 * W) {
            UNROLL for (int j = 0; j < 4; j++)
                __builtin_prefetch(x + 2 * x_stride + i + j * W, 0, 3);
            quantise(
                x + i, false, inverse, rows[r].zero, offset, &seen,
                (char*)y + (r * y_stride + i) * bytes
            );
        }
        lose(&rows[r], seen);
        rows[r].zero -= offset;
        inverse = next;
    }
}
#endif
#endif
