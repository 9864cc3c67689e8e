// gemm_f32.h: the float product, in tiles of up to TILE_ROWS rows by TILE_VECTORS vectors of columns, held in registers: per
// term, one load for each vector of weights and one broadcast for each row. Rows are packed by tiles first, so that a tile
// reads one stream of x; where K is long, tiles take so many terms at a time that those of a panel stay in the first-level
// cache, and sums wait on the stack. Attention uses the same tiles on rows as they lie.

enum { PANEL = TILE_VECTORS * W };

// sums_f32 computes y[rows, PANEL] = begun + x[rows, k] · w[k, PANEL] (+ bias + residual), where arguments that are NULL are
// left out. x is packed, [k, rows], or has rows as they lie. With each term, it prefetches into the second-level cache the line
// at `next`, unless that is NULL, which moves on by next_step bytes.
INLINE void sums_f32(
    const int rows,
    const bool packed,
    const float* x,
    ptrdiff_t x_stride,
    const float* w,
    ptrdiff_t w_stride,
    int k,
    const char* next,
    ptrdiff_t next_step,
    const float* begun,
    const float* bias,
    const float* residual,
    ptrdiff_t residual_stride,
    float* y,
    ptrdiff_t y_stride
) {
    vf sum[TILE_ROWS][TILE_VECTORS];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < TILE_VECTORS; v++) sum[r][v] =
        begun ? vf_load(begun + r * PANEL + v * W) : vf_set(0);
    for (int i = 0; i < k; i++) {
        vf weights[TILE_VECTORS];
        UNROLL for (int v = 0; v < TILE_VECTORS; v++) weights[v] = vf_load(w + v * W);
        w += w_stride;
        if (next) __builtin_prefetch(next + i * next_step, 0, 2);
        UNROLL for (int r = 0; r < rows; r++) {
            vf value = vf_set(packed ? x[i * rows + r] : x[r * x_stride + i]);
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
// that the sums need, and spill sums within the loop. tile_f32 takes rows as they lie, tile_packed packed ones.
#define TILE_F32(rows)                                                                             \
    static NOINLINE void tile_f32_##rows(                                                          \
        const float* x, ptrdiff_t x_stride, const float* w, ptrdiff_t w_stride, int k,             \
        const float* bias, const float* residual, ptrdiff_t residual_stride, float* y,             \
        ptrdiff_t y_stride                                                                         \
    ) {                                                                                            \
        sums_f32(                                                                                  \
            rows, false, x, x_stride, w, w_stride, k, NULL, 0, NULL, bias, residual,               \
            residual_stride, y, y_stride                                                           \
        );                                                                                         \
    }                                                                                              \
    static NOINLINE void tile_packed_##rows(                                                       \
        const float* x, const float* w, int k, const char* next, ptrdiff_t next_step,              \
        const float* begun, const float* bias, const float* residual, ptrdiff_t residual_stride,   \
        float* y, ptrdiff_t y_stride                                                               \
    ) {                                                                                            \
        sums_f32(                                                                                  \
            rows, true, x, 0, w, PANEL, k, next, next_step, begun, bias, residual,                 \
            residual_stride, y, y_stride                                                           \
        );                                                                                         \
    }
#define NAME_TILE_F32(rows)    tile_f32_##rows,
#define NAME_TILE_PACKED(rows) tile_packed_##rows,
TILE_HEIGHTS(TILE_F32)
static void (*const tile_f32[])(
    const float*,
    ptrdiff_t,
    const float*,
    ptrdiff_t,
    int,
    const float*,
    const float*,
    ptrdiff_t,
    float*,
    ptrdiff_t
) = {NULL, TILE_HEIGHTS(NAME_TILE_F32)};
static void (*const tile_packed[])(
    const float*,
    const float*,
    int,
    const char*,
    ptrdiff_t,
    const float*,
    const float*,
    const float*,
    ptrdiff_t,
    float*,
    ptrdiff_t
) = {NULL, TILE_HEIGHTS(NAME_TILE_PACKED)};

// tile_height spreads m rows over as few tiles of at most `most` rows as there must be, evenly.
INLINE int tile_height(int m, int most) {
    int tiles = (m + most - 1) / most;
    return (m + tiles - 1) / tiles;
}

// run_rows_f32 is the product of rows as they lie, for products that take little of a pass.
static void run_rows_f32(const struct product* p) {
    const struct linear* w = p->w;
    const float* x = p->x;
    int height = p->m ? tile_height(p->m, TILE_ROWS) : 1;
    for (int n = 0; n < w->n; n += PANEL) {
        const float* panel = (const float*)w->panels + (ptrdiff_t)n * w->k;
        for (int r = 0; r < p->m; r += height) {
            int rows = p->m - r < height ? p->m - r : height;
            float* y = p->y + r * p->y_stride + n;
            tile_f32[rows](
                x + r * p->x_stride, p->x_stride, panel, PANEL, w->k, w->bias + n,
                p->residual ? p->residual + r * p->residual_stride + n : NULL, p->residual_stride,
                y, p->y_stride
            );
            activate(p->activation, false, y, p->y_stride, rows, PANEL);
        }
    }
}

// pack_tile writes rows [rows, k] as [k, rows]. It writes up to SLACK_ROWS floats behind them.
INLINE void pack_tile(const float* x, ptrdiff_t x_stride, int rows, int k, float* y) {
    enum { GROUPS = (TILE_ROWS + W - 1) / W };
    for (int i = 0; i < k; i += W) {
        vf block[GROUPS][W];
        UNROLL for (int g = 0; g < GROUPS; g++) {
            UNROLL for (int j = 0; j < W; j++) {
                int r = g * W + j < rows ? g * W + j : rows - 1;
                block[g][j] = vf_load(x + r * x_stride + i);
            }
            vf_transpose(block[g]);
        }
        // In this order, what is written behind the rows of a term is written over.
        UNROLL for (int j = 0; j < W; j++) UNROLL for (int g = 0; g < GROUPS; g++)
            vf_store(y + (i + j) * rows + g * W, block[g][j]);
    }
}

// narrow_f32 packs rows for run_f32, tile by tile; y_stride and quantised are not used.
static void narrow_f32(
    const void* x,
    ptrdiff_t x_stride,
    int m,
    int k,
    void* y,
    ptrdiff_t y_stride,
    struct quantised* quantised
) {
    (void)y_stride, (void)quantised;
    int height = m ? tile_height(m, TILE_ROWS) : 1;
    for (int r = 0; r < m; r += height)
        pack_tile(
            (const float*)x + r * x_stride, x_stride, m - r < height ? m - r : height, k,
            (float*)y + (ptrdiff_t)r * k
        );
}

enum {
    TERMS = 192,       // of a panel at a time: with two vectors of 16, 24 KB
    WAITING_ROWS = 128 // of sums that wait
};

// run_f32 is the product of packed rows.
static void run_f32(const struct product* p) {
    const struct linear* w = p->w;
    const float* x = p->x;
    float waiting[WAITING_ROWS * PANEL] __attribute__((aligned(64)));
    int height = p->m ? tile_height(p->m, TILE_ROWS) : 1, group = WAITING_ROWS / height * height;
    // The tiles of a panel prefetch the next one evenly: a line needs longer than a tile takes for a term.
    int tiles = (p->m + height - 1) / height;
    ptrdiff_t step = (PANEL * sizeof(float) + tiles - 1) / tiles;
    for (int n = 0; n < w->n; n += PANEL)
        for (int first = 0; first < p->m; first += group)
            for (int i = 0; i < w->k; i += TERMS) {
                const float* panel = (const float*)w->panels + (ptrdiff_t)n * w->k + i * PANEL;
                const int terms = w->k - i < TERMS ? w->k - i : TERMS;
                const bool ends = i + terms == w->k;
                for (int r = first; r < p->m && r < first + group; r += height) {
                    int rows = p->m - r < height ? p->m - r : height;
                    const char* next = n + PANEL < w->n
                                           ? (const char*)(panel + (ptrdiff_t)PANEL * w->k) +
                                                 r / height * terms * step
                                           : NULL;
                    float* begun = waiting + (r - first) * PANEL;
                    float* y = ends ? p->y + r * p->y_stride + n : begun;
                    ptrdiff_t y_stride = ends ? p->y_stride : PANEL;
                    tile_packed[rows](
                        x + (ptrdiff_t)r * w->k + i * rows, panel, terms, next, step,
                        i ? begun : NULL, ends ? w->bias + n : NULL,
                        ends && p->residual ? p->residual + r * p->residual_stride + n : NULL,
                        p->residual_stride, y, y_stride
                    );
                    if (ends) activate(p->activation, false, y, y_stride, rows, PANEL);
                }
            }
}
