// gemm_amx.h: products of narrow numbers on Intel's tile registers: 16 rows of 64 bytes each, which one instruction
// multiplies into 16 × 16 sums. Weights are packed as for gemm_dot.h: 16 groups of a panel are just what a tile of
// weights is. Four sums are kept at a time, 32 rows by one panel of 32 columns, so that each loaded tile is used twice.

// The layout of LDTILECFG (Intel 64 Architectures Software Developer's Manual, volume 1, section 18.2).
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

// Static, and not written by enter_amx: GCC 12 believes that the instruction reads the first eight bytes only.
#define EIGHT(x) {x, x, x, x, x, x, x, x}
static _Alignas(64) const struct tile_config tile_config = {
    .palette = 1,
    .row_bytes = EIGHT(64),
    .rows = EIGHT(16),
};

static void enter_amx(void) {
    _tile_loadconfig(&tile_config);
}

static void leave_amx(void) {
    _tile_release();
}

// The intrinsics make the name of a register from the text of the argument, so that these can't be an enum.
#define TILE_SUM00 0
#define TILE_SUM01 1
#define TILE_SUM10 2
#define TILE_SUM11 3
#define TILE_X0    4
#define TILE_X1    5
#define TILE_W0    6
#define TILE_W1    7

#define AMX_DOT(sum, x, w)                                                                         \
    if (kind == KIND_I8)                                                                           \
        _tile_dpbusd(sum, x, w);                                                                   \
    else                                                                                           \
        _tile_dpbf16ps(sum, x, w)

// tile_amx computes sums[32][PANEL] of 32 rows, or of 16 where `half` says so. x_stride is in bytes.
INLINE void tile_amx(
    const enum kind kind,
    const bool half,
    const char* x,
    ptrdiff_t x_stride,
    const char* w,
    int steps,
    int32_t (*sums)[PANEL]
) {
    const int w_stride = 4 * PANEL, w_step = 16 * w_stride;
    _tile_zero(TILE_SUM00);
    _tile_zero(TILE_SUM01);
    if (!half) {
        _tile_zero(TILE_SUM10);
        _tile_zero(TILE_SUM11);
    }
    for (int s = 0; s < steps; s++, x += 64, w += w_step) {
        _tile_loadd(TILE_W0, w, w_stride);
        _tile_loadd(TILE_X0, x, x_stride);
        AMX_DOT(TILE_SUM00, TILE_X0, TILE_W0);
        _tile_loadd(TILE_W1, w + 64, w_stride);
        AMX_DOT(TILE_SUM01, TILE_X0, TILE_W1);
        if (!half) {
            _tile_loadd(TILE_X1, x + 16 * x_stride, x_stride);
            AMX_DOT(TILE_SUM10, TILE_X1, TILE_W0);
            AMX_DOT(TILE_SUM11, TILE_X1, TILE_W1);
        }
    }
    _tile_stored(TILE_SUM00, sums[0], w_stride);
    _tile_stored(TILE_SUM01, sums[0] + 16, w_stride);
    if (!half) {
        _tile_stored(TILE_SUM10, sums[16], w_stride);
        _tile_stored(TILE_SUM11, sums[16] + 16, w_stride);
    }
}

INLINE void run_amx(const enum kind kind, const struct product* p) {
    _Alignas(64) int32_t sums[32][PANEL];
    const int input_bytes = kind == KIND_I8 ? 1 : 2;
    const int steps = p->w->k * input_bytes / 64;
    const ptrdiff_t x_stride = p->x_stride * input_bytes;
    for (int n = 0; n < p->w->n; n += PANEL) {
        const char* w = (const char*)p->w->panels + (ptrdiff_t)n * p->w->k * input_bytes;
        for (int r = 0; r < p->m; r += 32) {
            const char* x = (const char*)p->x + r * x_stride;
            int rows = p->m - r < 32 ? p->m - r : 32;
            if (rows <= 16)
                tile_amx(kind, true, x, x_stride, w, steps, sums);
            else
                tile_amx(kind, false, x, x_stride, w, steps, sums);
            for (int i = 0; i < rows; i++)
                UNROLL for (int c = 0; c < PANEL; c += W)
                    finish(kind, p, vi_load(sums[i] + c), r + i, n + c);
            activate(p->activation, p->y + r * p->y_stride + n, p->y_stride, rows, PANEL);
        }
    }
}

static void run_amx_i8(const struct product* p) {
    run_amx(KIND_I8, p);
}
static void run_amx_bf16(const struct product* p) {
    run_amx(KIND_BF16, p);
}
