// gemm_f32.h: the float product, in tiles of up to TILE_ROWS rows by TILE_VECTORS vectors of columns, held in registers
// over the whole of K: per term, one load for each vector of weights and one broadcast for each row. Attention uses
// the same tiles.

enum { PANEL = TILE_VECTORS * W };

// tile_f32 computes y[rows, PANEL] = x[rows, k] · w[k, PANEL] (+ bias + residual, where they are not NULL). Meanwhile it
// prefetches one vector of each row of `next` [k, PANEL], unless that is NULL, into the second-level cache.
INLINE void tile_f32_rows(
    const int rows,
    const float* x,
    ptrdiff_t x_stride,
    const float* w,
    ptrdiff_t w_stride,
    int k,
    const float* next,
    const float* bias,
    const float* residual,
    ptrdiff_t residual_stride,
    float* y,
    ptrdiff_t y_stride
) {
    vf sum[TILE_ROWS][TILE_VECTORS];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < TILE_VECTORS; v++) sum[r][v] =
        vf_set(0);
    for (int i = 0; i < k; i++) {
        vf weights[TILE_VECTORS];
        UNROLL for (int v = 0; v < TILE_VECTORS; v++) weights[v] = vf_load(w + v * W);
        w += w_stride;
        if (next) __builtin_prefetch(next + (ptrdiff_t)i * PANEL, 0, 2);
        UNROLL for (int r = 0; r < rows; r++) {
            vf value = vf_set(x[r * x_stride + i]);
            UNROLL for (int v = 0; v < TILE_VECTORS; v++) sum[r][v] =
                vf_fma(value, weights[v], sum[r][v]);
        }
    }
    UNROLL for (int v = 0; v < TILE_VECTORS; v++) {
        vf b = bias ? vf_load(bias + v * W) : vf_set(0);
        UNROLL for (int r = 0; r < rows; r++) {
            vf value = sum[r][v] + b;
            if (residual) value += vf_load(residual + r * residual_stride + v * W);
            vf_store(y + r * y_stride + v * W, value);
        }
    }
}

// A tile of each height is a function of its own, not to be inlined: GCC 12 would keep constants of its caller in registers
// that the sums need, and spill sums within the loop.
#define TILE_F32(rows)                                                                             \
    static NOINLINE void tile_f32_##rows(                                                          \
        const float* x, ptrdiff_t x_stride, const float* w, ptrdiff_t w_stride, int k,             \
        const float* next, const float* bias, const float* residual, ptrdiff_t residual_stride,    \
        float* y, ptrdiff_t y_stride                                                               \
    ) {                                                                                            \
        tile_f32_rows(                                                                             \
            rows, x, x_stride, w, w_stride, k, next, bias, residual, residual_stride, y, y_stride  \
        );                                                                                         \
    }
#define NAME_TILE_F32(rows) tile_f32_##rows,
TILE_HEIGHTS(TILE_F32)
static void (*const tile_f32[])(
    const float*,
    ptrdiff_t,
    const float*,
    ptrdiff_t,
    int,
    const float*,
    const float*,
    const float*,
    ptrdiff_t,
    float*,
    ptrdiff_t
) = {NULL, TILE_HEIGHTS(NAME_TILE_F32)};

// tile_height spreads m rows over as few tiles of at most `most` rows as there must be, evenly.
INLINE int tile_height(int m, int most) {
    int tiles = (m + most - 1) / most;
    return (m + tiles - 1) / tiles;
}

static void run_f32(const struct product* p) {
    const struct linear* w = p->w;
    const float* x = p->x;
    int height = p->m ? tile_height(p->m, TILE_ROWS) : 1;
    for (int n = 0; n < w->n; n += PANEL) {
        const float* panel = (const float*)w->panels + (ptrdiff_t)n * w->k;
        for (int r = 0; r < p->m; r += height) {
            int rows = p->m - r < height ? p->m - r : height;
            float* y = p->y + r * p->y_stride + n;
            const int tile = r / height;
            const float* next = n + PANEL < w->n && tile < TILE_VECTORS
                                    ? panel + (ptrdiff_t)PANEL * w->k + tile * W
                                    : NULL;
            tile_f32[rows](
                x + r * p->x_stride, p->x_stride, panel, PANEL, w->k, next, w->bias + n,
                p->residual ? p->residual + r * p->residual_stride + n : NULL, p->residual_stride,
                y, p->y_stride
            );
            activate(p->activation, false, y, p->y_stride, rows, PANEL);
        }
    }
}
