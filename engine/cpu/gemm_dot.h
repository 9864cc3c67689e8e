// gemm_dot.h: products of bytes, in tiles like those of gemm_f32.h. All instructions for them have one form: each lane adds
// to a 32-bit sum the products of a group of terms that together take 32 bits, four bytes or two of 16 bits. So one row
// of weights is a vector of groups, and one value of x is a group, broadcast.
//
// DOT_I8 is that instruction, where a variant has it: vi DOT_I8(vi sum, vi x, vi w).

// How the bytes of an int8 row are stored: U8 as they are, S8 less 128, S16 widened.
enum { STORE_U8, STORE_S8, STORE_S16 };

typedef unsigned char vu8 __attribute__((vector_size(W)));
typedef unsigned short vu16 __attribute__((vector_size(2 * W)));

// finish_i8 turns sums of products of bytes into the values that they stand for:
//   Σ (x - zero) w · (scale of the row · scale of the column) = (Σ x w - zero Σ w) · …
INLINE vf finish_i8(vi sum, const struct linear* w, int n, struct quantised row) {
    vi centred = sum - row.zero * vi_load(w->sums + n);
    vf scale = vf_load(w->scales + n) * row.scale;
    return vf_fma(__builtin_convertvector(centred, vf), scale, vf_load(w->bias + n));
}

INLINE void finish(const struct product* p, vi sum, int r, int n) {
    vf value = finish_i8(sum, p->w, n, p->rows[r]);
    if (p->residual) value += vf_load(p->residual + r * p->residual_stride + n);
    vf_store(p->y + r * p->y_stride + n, value);
}

#ifdef DOT_I8
INLINE void tile_dot_rows(
    const int rows,
    const struct product* p,
    int r,
    int n,
    const int32_t* x,
    ptrdiff_t x_stride,
    const int32_t* w,
    int groups
) {
    vi sum[TILE_ROWS][TILE_VECTORS];
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < TILE_VECTORS; v++) sum[i][v] =
        vi_set(0);
    for (int g = 0; g < groups; g++) {
        vi weights[TILE_VECTORS];
        UNROLL for (int v = 0; v < TILE_VECTORS; v++) weights[v] = vi_load(w + v * W);
        w += PANEL;
        UNROLL for (int i = 0; i < rows; i++) {
            vi value = vi_set(x[i * x_stride + g]);
            UNROLL for (int v = 0; v < TILE_VECTORS; v++) sum[i][v] =
                DOT_I8(sum[i][v], value, weights[v]);
        }
    }
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < TILE_VECTORS; v++)
        finish(p, sum[i][v], r + i, n + v * W);
}

#define TILE_DOT_CASE(rows)                                                                        \
    case rows:                                                                                     \
        if (rows <= TILE_ROWS)                                                                     \
            tile_dot_rows(rows <= TILE_ROWS ? rows : 1, p, r, n, x, x_stride, w, groups);          \
        break;

static void run_i8(const struct product* p) {
    const int input_bytes = I8_STORE == STORE_S16 ? 2 : 1;
    int height = p->m ? tile_height(p->m, TILE_ROWS) : 1;
    int groups = p->w->k * input_bytes / 4;
    ptrdiff_t x_stride = p->x_stride * input_bytes / 4;
    for (int n = 0; n < p->w->n; n += PANEL) {
        const int32_t* w = (const int32_t*)p->w->panels + (ptrdiff_t)n * groups;
        for (int r = 0; r < p->m; r += height) {
            const int32_t* x = (const int32_t*)p->x + r * x_stride;
            int rows = p->m - r < height ? p->m - r : height;
            switch (rows) {
                TILE_DOT_CASE(1)
                TILE_DOT_CASE(2)
                TILE_DOT_CASE(3)
                TILE_DOT_CASE(4)
                TILE_DOT_CASE(5)
                TILE_DOT_CASE(6)
                TILE_DOT_CASE(7)
                TILE_DOT_CASE(8)
                TILE_DOT_CASE(9)
                TILE_DOT_CASE(10)
                TILE_DOT_CASE(11)
                TILE_DOT_CASE(12)
                TILE_DOT_CASE(13)
                TILE_DOT_CASE(14)
            }
            activate(p->activation, true, p->y + r * p->y_stride + n, p->y_stride, rows, PANEL);
        }
    }
}
#endif

// GCC 12 does some conversions lane by lane, so that a variant may name the instructions.
INLINE vu8 vi_low_bytes(vi v) {
#ifdef VI_LOW_BYTES
    return (vu8)VI_LOW_BYTES(v);
#else
    return __builtin_convertvector(v, vu8);
#endif
}

INLINE vi vi_widened(vu16 v) {
#ifdef VI_WIDENED
    return (vi)VI_WIDENED(v);
#else
    return __builtin_convertvector(v, vi);
#endif
}

// load_row loads W values of a row of floats, or of bfloat16.
INLINE vf load_row(const void* x, int i, const bool half) {
    if (!half) return vf_load((const float*)x + i);
    vu16 v;
    memcpy(&v, (const uint16_t*)x + i, sizeof v);
    return (vf)(vi_widened(v) << 16);
}

#ifdef I8_STORE
// range_of gives a row its own scale and zero, so that its smallest and largest value, and zero itself, are within the 256
// steps. A row of zeros has scale 0; one with a value that is not finite has scale NaN, which makes all its products NaN.
// It returns the steps of 1.
INLINE float range_of(const void* x, int k, const bool half, struct quantised* row) {
    vf low = vf_set(0), high = vf_set(0), lost = vf_set(0);
    for (int i = 0; i < k; i += W) {
        vf v = load_row(x, i, half);
        low = vf_min(low, v);
        high = vf_max(high, v);
        lost = vf_or_nan(lost, v);
    }
    float least = -vf_top(-low), range = vf_top(high) - least + vf_sum(lost);
    if (!(range < __builtin_inff())) {
        *row = (struct quantised){__builtin_nanf(""), 0};
        return 0;
    }
    float inverse = range > 0 ? 255 / range : 0;
    *row = (struct quantised){range / 255, (int32_t)__builtin_rintf(-least * inverse)};
    return inverse;
}

// quantise returns steps in the low bits: adding ROUNDING rounds, and so does the one fused addition of the zero to it.
INLINE vi quantise(vf x, float inverse, float zero) {
    vf v = vf_fma(x, vf_set(inverse), vf_set(zero + ROUNDING));
    return (vi)vf_min(vf_max(v, vf_set(ROUNDING)), vf_set(ROUNDING + 255));
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
    for (int r = 0; r < m; r++, x += x_stride) {
        float inverse = range_of(x, k, false, &rows[r]), zero = rows[r].zero;
        int offset = I8_STORE == STORE_S8 ? 128 : 0;
        rows[r].zero -= offset;
        for (int i = 0; i < k; i += W) {
            vi q = quantise(vf_load(x + i), inverse, zero) - offset;
            if (I8_STORE == STORE_S16) {
                vu16 narrowed = __builtin_convertvector(q, vu16);
                memcpy((uint16_t*)y + r * y_stride + i, &narrowed, sizeof narrowed);
            } else {
                vu8 narrowed = vi_low_bytes(q);
                memcpy((uint8_t*)y + r * y_stride + i, &narrowed, sizeof narrowed);
            }
        }
    }
}
#endif
#endif
