// gemm_amx.h: products of narrow numbers on Intel's tile registers: 16 rows of 64 bytes each, which one instruction
// multiplies into 16 × 16 sums. Four sums are kept at a time, 32 rows by two panels of 16 columns, so that each loaded tile
// is used twice.
//
// All tiles lie in memory as they are in registers, 1 KB without a gap, so that a load is 16 cache lines in a row, which
// the prefetchers foresee: weights because a panel has 16 columns, inputs because narrowing packs them,
// [⌈m/16⌉][k bytes/64][16][64].

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

enum { TILE_LINES = 16, TILE_BYTES = 1024 };

// The intrinsics make the name of a register from the text of the argument, so that these can't be an enum.
#define TILE_SUM00 0
#define TILE_SUM01 1
#define TILE_SUM10 2
#define TILE_SUM11 3
#define TILE_X0    4
#define TILE_X1    5
#define TILE_W0    6
#define TILE_W1    7

enum kind { KIND_I8, KIND_BF16 };

#define AMX_DOT(sum, x, w)                                                                         \
    if (kind == KIND_I8)                                                                           \
        _tile_dpbusd(sum, x, w);                                                                   \
    else                                                                                           \
        _tile_dpbf16ps(sum, x, w)

enum { AMX_COLUMNS = 32 };
typedef int32_t amx_sums[32][AMX_COLUMNS];

// pair_bf16 rounds two vectors, to nearest, ties to even.
INLINE __m512i pair_bf16(vf low, vf high) {
    return (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
}

// finished is a block of sums that are complete and not yet values.
struct finished {
    const int32_t (*sums)[AMX_COLUMNS];
    int rows, r, n; // rows from r on, columns from n on
    int done;       // rows that are values
};

// finish_amx turns `rows` more rows of sums into values.
INLINE void finish_amx(
    const enum kind kind,
    const enum activation activation,
    const struct product* p,
    struct finished* f,
    int rows
) {
    enum { VECTORS = AMX_COLUMNS / W };
    const int end = f->done + rows < f->rows ? f->done + rows : f->rows;
    vf bias[VECTORS], value[VECTORS];
    struct column column[VECTORS];
    UNROLL for (int v = 0; v < VECTORS; v++) {
        bias[v] = vf_load(p->w->bias + f->n + v * W);
        if (kind == KIND_I8) column[v] = load_column(p->w, f->n + v * W);
    }
    for (int i = f->done; i < end; i++) {
        const ptrdiff_t r = f->r + i, at = r * p->y_stride + f->n;
        UNROLL for (int v = 0; v < VECTORS; v++) {
            vi sum = vi_load(f->sums[i] + v * W);
            value[v] = kind == KIND_I8 ? finish_i8(sum, column[v], p->rows[r]) : (vf)sum + bias[v];
            value[v] = act(activation, true, value[v]);
            if (p->residual)
                value[v] += vf_load(p->residual + r * p->residual_stride + f->n + v * W);
        }
        if (p->half)
            _mm512_storeu_si512(p->half + at, pair_bf16(value[0], value[1]));
        else
            UNROLL for (int v = 0; v < VECTORS; v++) vf_store(p->y + at + v * W, value[v]);
    }
    f->done = end;
}

// tiles are the two factors of a block of sums: tiles of 16 rows, and of 16 more unless x1 is NULL, and of two panels.
// Distances are in bytes.
struct tiles {
    const char *x0, *x1;
    ptrdiff_t x_line, x_step; // from line to line of a tile, from tile to tile
    const char *w0, *w1;
    int steps;
};

// tile_amx adds to sums, or begins them. Its lines are `line` bytes apart. Where f is not NULL, it turns f's sums into
// values meanwhile: the tile unit and the vector units work at the same time, but only on instructions close together in
// the program.
INLINE void tile_amx(
    const enum kind kind,
    const enum activation activation,
    const struct tiles* t,
    const bool begin,
    void* sums,
    ptrdiff_t line,
    const struct product* p,
    struct finished* f
) {
    const bool whole = t->x1 != NULL;
    char* lower = (char*)sums + 16 * line;
    if (begin) {
        _tile_zero(TILE_SUM00);
        _tile_zero(TILE_SUM01);
        if (whole) {
            _tile_zero(TILE_SUM10);
            _tile_zero(TILE_SUM11);
        }
    } else {
        _tile_loadd(TILE_SUM00, sums, line);
        _tile_loadd(TILE_SUM01, (char*)sums + 64, line);
        if (whole) {
            _tile_loadd(TILE_SUM10, lower, line);
            _tile_loadd(TILE_SUM11, lower + 64, line);
        }
    }
    const int share = f ? (f->rows + t->steps - 1) / t->steps : 0;
    for (int s = 0; s < t->steps; s++) {
        _tile_loadd(TILE_W0, t->w0 + s * TILE_BYTES, 64);
        _tile_loadd(TILE_X0, t->x0 + s * t->x_step, t->x_line);
        AMX_DOT(TILE_SUM00, TILE_X0, TILE_W0);
        _tile_loadd(TILE_W1, t->w1 + s * TILE_BYTES, 64);
        AMX_DOT(TILE_SUM01, TILE_X0, TILE_W1);
        if (whole) {
            _tile_loadd(TILE_X1, t->x1 + s * t->x_step, t->x_line);
            AMX_DOT(TILE_SUM10, TILE_X1, TILE_W0);
            AMX_DOT(TILE_SUM11, TILE_X1, TILE_W1);
        }
        if (f) finish_amx(kind, activation, p, f, share);
    }
    _tile_stored(TILE_SUM00, sums, line);
    _tile_stored(TILE_SUM01, (char*)sums + 64, line);
    if (whole) {
        _tile_stored(TILE_SUM10, lower, line);
        _tile_stored(TILE_SUM11, lower + 64, line);
    }
}

// The first cache holds MOST_STEPS tiles of each of two panels beside the rows that pass by.
enum { MOST_STEPS = 8, MOST_AMX_ROWS = 128, RING = MOST_AMX_ROWS / 32 + 1 };

// run_amx_slab multiplies up to MOST_AMX_ROWS rows, from r0 on. K is cut so that a part of two panels stays in the first
// cache while all rows pass; sums wait in a ring, which has one block more in use than the rows have: the block that is
// being finished.
INLINE void run_amx_slab(
    const enum kind kind,
    const enum activation activation,
    const struct product* p,
    int r0,
    int m
) {
    _Alignas(64) amx_sums ring[RING];
    const int steps = p->w->k * (kind == KIND_I8 ? 1 : 2) / 64;
    const int parts = (steps + MOST_STEPS - 1) / MOST_STEPS, part = (steps + parts - 1) / parts;
    const int blocks = (m + 31) / 32, in_use = parts == 1 ? 2 : blocks + 1;
    const ptrdiff_t run = (ptrdiff_t)steps * TILE_BYTES; // of 16 rows, or of a panel
    struct finished f = {0};
    for (int n = 0; n < p->w->n; n += AMX_COLUMNS) {
        const char* w = (const char*)p->w->panels + n / 16 * run;
        for (int s = 0; s < steps; s += part)
            for (int b = 0; b < blocks; b++) {
                const char* x = (const char*)p->x + (r0 / 16 + 2 * b) * run + s * TILE_BYTES;
                const int rows = m - 32 * b < 32 ? m - 32 * b : 32;
                int32_t(*sums)[AMX_COLUMNS] = ring[(n / AMX_COLUMNS * blocks + b) % in_use];
                struct tiles t = {
                    .x0 = x,
                    .x1 = rows > 16 ? x + run : NULL,
                    .x_line = 64,
                    .x_step = TILE_BYTES,
                    .w0 = w + s * TILE_BYTES,
                    .w1 = w + run + s * TILE_BYTES,
                    .steps = steps - s < part ? steps - s : part,
                };
                if (t.x1)
                    tile_amx(kind, activation, &t, s == 0, sums, sizeof sums[0], p, &f);
                else
                    tile_amx(kind, activation, &t, s == 0, sums, sizeof sums[0], p, &f);
                if (s + part >= steps)
                    f = (struct finished){.sums = (const int32_t(*)[AMX_COLUMNS])sums,
                                          .rows = rows,
                                          .r = r0 + 32 * b,
                                          .n = n};
            }
    }
    finish_amx(kind, activation, p, &f, f.rows);
}

INLINE void run_amx(const enum kind kind, const struct product* p) {
    for (int r = 0; r < p->m; r += MOST_AMX_ROWS) {
        int m = p->m - r < MOST_AMX_ROWS ? p->m - r : MOST_AMX_ROWS;
        WITH_ACTIVATION(p->activation, run_amx_slab(kind, ACTIVATION, p, r, m))
    }
}

static void run_amx_i8(const struct product* p) {
    run_amx(KIND_I8, p);
}
static void run_amx_bf16(const struct product* p) {
    run_amx(KIND_BF16, p);
}

// line_of is where 64 bytes of a row lie, the step-th of it.
INLINE char* line_of(void* y, int r, int step, int steps) {
    return (char*)y + ((ptrdiff_t)(r / 16) * steps + step) * TILE_BYTES + r % 16 * 64;
}

INLINE void narrow_amx_i8_as(
    const bool half,
    const void* x,
    ptrdiff_t x_stride,
    int m,
    int k,
    void* y,
    struct quantised* rows
) {
    for (int r = 0; r < m; r++, x = (const char*)x + x_stride * (half ? 2 : 4)) {
        float inverse = range_of(x, k, half, &rows[r]), zero = rows[r].zero;
        vi seen = vi_set(0);
        for (int step = 0; step < k / 64; step++) {
            char* line = line_of(y, r, step, k / 64);
            const char* from = (const char*)x + step * 64 * (half ? 2 : 4);
            quantise(from, half, inverse, zero, 0, &seen, line);
        }
        lose(&rows[r], seen);
    }
}

// Rows of tiles don't lie apart, so that y_stride is not needed.
static void narrow_amx_i8(
    const void* x,
    ptrdiff_t x_stride,
    int m,
    int k,
    void* y,
    ptrdiff_t y_stride,
    struct quantised* rows
) {
    (void)y_stride;
    narrow_amx_i8_as(false, x, x_stride, m, k, y, rows);
}

static void narrow_half_amx_i8(
    const void* x,
    ptrdiff_t x_stride,
    int m,
    int k,
    void* y,
    ptrdiff_t y_stride,
    struct quantised* rows
) {
    (void)y_stride;
    narrow_amx_i8_as(true, x, x_stride, m, k, y, rows);
}

static void narrow_amx_bf16(
    const void* from,
    ptrdiff_t x_stride,
    int m,
    int k,
    void* y,
    ptrdiff_t y_stride,
    struct quantised* rows
) {
    (void)rows, (void)y_stride;
    const float* x = from;
    for (int r = 0; r < m; r++, x += x_stride)
        for (int step = 0; step < k / 32; step++)
            _mm512_storeu_si512(
                line_of(y, r, step, k / 32),
                pair_bf16(vf_load(x + step * 32), vf_load(x + step * 32 + W))
            );
}

static void narrow_half_amx_bf16(
    const void* from,
    ptrdiff_t x_stride,
    int m,
    int k,
    void* y,
    ptrdiff_t y_stride,
    struct quantised* rows
) {
    (void)rows, (void)y_stride;
    const uint16_t* x = from;
    for (int r = 0; r < m; r++, x += x_stride)
        for (int step = 0; step < k / 32; step++)
            memcpy(line_of(y, r, step, k / 32), x + step * 32, 64);
}
