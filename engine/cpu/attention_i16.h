// attention_i16.h: attention by products of 16-bit integers, which take half the time of those of floats. Scores and softmax
// are floats. As in attention.h, a tile of queries at a time has its scores against all keys in the cache.
//
// No sum overflows 32 bits, by its bounds:
//   scores: a row of queries or keys is scaled to a Euclidean norm of 2¹⁵ - 1, so that |q·k| < 2³⁰ (Cauchy and Schwarz)
//   output: probabilities of a segment add up to 2¹⁵ - 1, and values are within ±(2¹⁵ - 1)
// Rounding half a step of q and k moves a score by some 1e-5 of |q||k|/√D, and that of a probability is 1.5e-5 of their sum.
// The products with weights have rows of eight bits, whose steps are a hundred times as large.
//
// Terms go in pairs, of which a 32-bit group has the two: d and d + W of PANEL terms. So two vectors of floats become one
// of pairs without a shuffle. The keys of probabilities and values go in pairs likewise.
//
// Scratch: keys [L padded/PANEL][groups][PANEL] pairs; their scales and biases [L padded]; values' scales [D padded]; values
// [D padded/PANEL][L padded/2][PANEL] pairs of keys; queries' scales and their inverses [L padded + W]; pairs of a tile of queries; scores
// [TILE_ROWS][L padded], which probabilities replace; the steps of those [segments][W]; one tile of outputs.

#define LARGEST 32767.0f

// The keys whose probabilities share a scale. A scale for more would lose small probabilities.
enum { SEGMENT = 512 };

// rounded has in its low 16 bits the integer next to x · factor, which is within ±2¹⁵: ROUNDING has zeros there.
INLINE vi rounded(vf x, vf factor) {
    return (vi)vf_fma(x, factor, vf_set(ROUNDING));
}

// pairs joins the low 16 bits of both.
INLINE vi pairs(vi first, vi second) {
    return (first & 0xffff) | (second << 16);
}

INLINE void vi_store(void* to, vi v) {
    memcpy(to, &v, sizeof v);
}

// load_first loads the first n of W floats, zeros behind them.
INLINE vf load_first(const float* x, int n) {
    if (n <= 0) return vf_set(0);
    return n >= W ? vf_load(x) : vf_first(vf_load(x), n, 0);
}

// unit returns the value of one step, given that of LARGEST steps, and its inverse: 0 for 0.
INLINE vf unit(vf largest, vf* inverse) {
    *inverse = vf_select(largest > 0, vf_set(LARGEST) / largest, vf_set(0));
    return largest * (1 / LARGEST);
}

struct i16_scratch {
    int groups, padded, stride, segments; // stride is between rows of scores
    int32_t *keys, *values, *rows;
    float *scales, *biases, *norms, *value_scales, *query_scales, *query_inverses, *scores, *steps,
        *tile;
};

#define TAKE(field, count) s->field = (void*)(from + used), used += 4 * (size_t)round_up(count, 16)

// place_packed lays out packed keys and values from `from` on, and returns their size. NULL asks for the size alone.
INLINE size_t place_packed(struct i16_scratch* s, char* from, int keys, int size) {
    s->groups = round_up(size, PANEL) / 2;
    s->padded = round_up(keys, PANEL);
    size_t used = 0;
    TAKE(keys, s->padded * s->groups);
    TAKE(scales, s->padded);
    TAKE(biases, s->padded);
    TAKE(norms, 1);
    TAKE(value_scales, round_up(size, PANEL));
    TAKE(values, round_up(size, PANEL) * s->padded / 2);
    return used;
}

// place lays out the rest of the scratch in the same way, after place_packed has set the counts.
INLINE size_t place(struct i16_scratch* s, char* from) {
    s->stride = s->padded + PANEL;
    s->segments = (s->padded + SEGMENT - 1) / SEGMENT;
    size_t used = 0;
    TAKE(query_scales, s->padded + W);
    TAKE(query_inverses, s->padded + W);
    TAKE(rows, TILE_ROWS * s->groups);
    TAKE(scores, TILE_ROWS * s->stride);
    TAKE(steps, W * s->segments);
    TAKE(tile, TILE_ROWS * PANEL);
    return used;
}
#undef TAKE

static size_t packed_i16_size(int keys, int size) {
    struct i16_scratch s;
    return place_packed(&s, NULL, keys, size);
}

static size_t attention_i16_scratch(int keys, int size) {
    struct i16_scratch s;
    size_t packed = place_packed(&s, NULL, keys, size);
    return packed + place(&s, NULL);
}

// measure_i16_rows writes the value of a step of each of n rows, and the steps of 1; both are 0 behind them, up to a multiple of W.
// It fetches the rows of the next head.
INLINE void measure_i16_rows(
    const float* x,
    ptrdiff_t stride,
    int n,
    int size,
    float* steps,
    float* inverses
) {
    for (int j = 0; j < n; j += W, x += W * stride) {
        vf squares[W], inverse;
        for (int i = 0; i < W; i++) {
            vf sum = vf_set(0);
            for (int d = 0; j + i < n && d < size; d += W) {
                vf v = load_first(x + i * stride + d, size - d);
                sum = vf_fma(v, v, sum);
                __builtin_prefetch(x + i * stride + size + d, 0, 2);
            }
            squares[i] = sum;
        }
        vf_store(steps + j, unit((vf)VF_SQRT(vf_sums(squares)), &inverse));
        vf_store(inverses + j, inverse);
    }
}

// pair_of makes W pairs of a row from term d on.
INLINE vi pair_of(const float* x, int d, int size, float inverse) {
    return pairs(
        rounded(load_first(x + d, size - d), vf_set(inverse)),
        rounded(load_first(x + d + W, size - d - W), vf_set(inverse))
    );
}

// pack_i16_keys makes the panels of keys, and the sum of their norms. Columns without a key have a bias that makes their
// probabilities zero.
INLINE void pack_i16_keys(const struct attention* a, const struct i16_scratch* s) {
    vf norms = vf_set(0);
    float* inverses = s->biases; // until the biases are known
    vf_store(s->scales + s->padded - W, vf_set(0));
    measure_i16_rows(a->k, a->kv_stride, a->keys, a->size, s->scales, inverses);
    for (int j = 0; j < s->padded; j += W) {
        const float* k = (const float*)a->k + j * a->kv_stride;
        const int n = a->keys - j;
        int32_t* columns = s->keys + j / PANEL * PANEL * s->groups + j % PANEL;
        for (int g = 0; g < s->groups; g += W) {
            vf block[W];
            UNROLL for (int i = 0; i < W; i++) block[i] =
                i < n ? (vf)pair_of(k + i * a->kv_stride, 2 * g, a->size, inverses[j + i])
                      : vf_set(0);
            vf_transpose(block);
            UNROLL for (int i = 0; i < W; i++) vi_store(columns + (g + i) * PANEL, (vi)block[i]);
        }
        norms += vf_load(s->scales + j);
        vf_store(s->biases + j, vf_first(vf_set(0), n, -1e30f));
    }
    *s->norms = LARGEST * vf_sum(norms);
}

// pack_i16_values makes pairs of keys. A column has its own scale. It fetches the values of the next head.
INLINE void pack_i16_values(const struct attention* a, const struct i16_scratch* s) {
    for (int d = 0; d < a->size; d += PANEL) {
        const float* v = (const float*)a->v + d;
        vf low[2] = {{0}, {0}}, high[2] = {{0}, {0}}, lost[2] = {{0}, {0}}, inverse[2];
        for (int j = 0; j < a->keys; j++)
            UNROLL for (int i = 0; i < 2; i++) {
                vf x = vf_load(v + j * a->kv_stride + i * W);
                low[i] = vf_min(low[i], x);
                high[i] = vf_max(high[i], x);
                lost[i] = vf_or_nan(lost[i], x);
                __builtin_prefetch(v + j * a->kv_stride + a->size + i * W, 0, 2);
            }
        UNROLL for (int i = 0; i < 2; i++) {
            vf largest = vf_first(vf_max(high[i], -low[i]) + lost[i], a->size - d - i * W, 0);
            vf_store(s->value_scales + d + i * W, unit(largest, &inverse[i]));
        }
        int32_t* to = s->values + d * s->padded / 2;
        for (int j = 0; j < s->padded; j += PANEL)
            for (int g = j; g < j + W; g++, to += PANEL)
                UNROLL for (int i = 0; i < 2; i++) {
                    const float* x = v + g * a->kv_stride + i * W;
                    vi first = vi_set(0), second = vi_set(0);
                    if (g < a->keys) first = rounded(vf_load(x), inverse[i]);
                    if (g + W < a->keys)
                        second = rounded(vf_load(x + W * a->kv_stride), inverse[i]);
                    vi_store(to + i * W, pairs(first, second));
                }
    }
}

// tile_i16_rows computes y[rows, PANEL] = x · w · scale of the column + bias of the column, or with factors of rows instead of
// biases, x · w · scale of the column · factor of the row, to which it adds y where `more` is set.
INLINE void tile_i16_rows(
    const int rows,
    const int32_t* x,
    ptrdiff_t x_stride,
    const int32_t* w,
    int groups,
    const float* scales,
    const float* biases,
    const float* factors,
    bool more,
    float* y,
    ptrdiff_t y_stride
) {
    vi sum[TILE_ROWS][TILE_VECTORS];
    sum_tile(rows, true, x, x_stride, w, groups, NULL, NULL, 0, sum);
    UNROLL for (int v = 0; v < TILE_VECTORS; v++) {
        vf scale = vf_load(scales + v * W);
        if (biases) {
            vf bias = vf_load(biases + v * W);
            UNROLL for (int i = 0; i < rows; i++) vf_store(
                y + i * y_stride + v * W,
                vf_fma(__builtin_convertvector(sum[i][v], vf), scale, bias)
            );
        } else {
            UNROLL for (int i = 0; i < rows; i++) {
                float* to = y + i * y_stride + v * W;
                vf value = __builtin_convertvector(sum[i][v], vf) * scale;
                vf_store(to, vf_fma(value, vf_set(factors[i]), more ? vf_load(to) : vf_set(0)));
            }
        }
    }
}

// As with tile_f32, not inlined.
#define TILE_I16(rows)                                                                             \
    static NOINLINE void tile_i16_##rows(                                                          \
        const int32_t* x, ptrdiff_t x_stride, const int32_t* w, int groups, const float* scales,   \
        const float* biases, const float* factors, bool more, float* y, ptrdiff_t y_stride         \
    ) {                                                                                            \
        tile_i16_rows(rows, x, x_stride, w, groups, scales, biases, factors, more, y, y_stride);   \
    }
#define NAME_TILE_I16(rows) tile_i16_##rows,
TILE_HEIGHTS(TILE_I16)
static void (*const tile_i16[])(
    const int32_t*,
    ptrdiff_t,
    const int32_t*,
    int,
    const float*,
    const float*,
    const float*,
    bool,
    float*,
    ptrdiff_t
) = {NULL, TILE_HEIGHTS(NAME_TILE_I16)};

// soften_i16 replaces rows of scores by probabilities of 16 bits. A score counts by its factor, to base 2. steps[g] become the
// values of a step of each row in segment g. Extremes and sums of all rows are made at once: one by one, each row would wait for
// its own.
INLINE void soften_i16(const struct i16_scratch* s, int rows, vf factor) {
    vf each[W];
    float factors[W], shifts[W];
    for (int i = rows; i < W; i++)
        each[i] = vf_set(0);
    for (int i = 0; i < rows; i++) {
        const float* row = s->scores + i * s->stride;
        vf tops[2] = {vf_load(row), vf_load(row + W)};
        for (int j = PANEL; j < s->padded; j += PANEL) {
            tops[0] = vf_max(tops[0], vf_load(row + j));
            tops[1] = vf_max(tops[1], vf_load(row + j + W));
        }
        each[i] = vf_max(tops[0], tops[1]);
    }
    vf_store(factors, factor);
    vf_store(shifts, vf_tops(each) * -factor);
    vf total = vf_set(0);
    for (int from = 0, g = 0; from < s->padded; from += SEGMENT, g++) {
        int end = from + SEGMENT < s->padded ? from + SEGMENT : s->padded;
        for (int i = 0; i < rows; i++) {
            float* row = s->scores + i * s->stride;
            vf sums[2] = {{0}, {0}}, by = vf_set(factors[i]), shift = vf_set(shifts[i]);
            for (int j = from; j < end; j += PANEL)
                UNROLL for (int v = 0; v < 2; v++) {
                    vf e = vf_exp2_coarse(vf_fma(vf_load(row + j + v * W), by, shift));
                    sums[v] += e;
                    vf_store(row + j + v * W, e);
                }
            each[i] = sums[0] + sums[1];
        }
        vf sum = vf_sums(each);
        total += sum;
        vf_store(s->steps + g * W, sum * (1 / LARGEST));
        // A segment of the smallest exponentials counts as nothing, and its inverse would overflow.
        float inverses[W];
        vf_store(inverses, LARGEST / vf_max(sum, vf_set(1e-30f)));
        for (int i = 0; i < rows; i++) {
            float* row = s->scores + i * s->stride;
            vf by = vf_set(inverses[i]);
            for (int j = from; j < end; j += PANEL)
                vi_store(
                    row + j / 2,
                    pairs(rounded(vf_load(row + j), by), rounded(vf_load(row + j + W), by))
                );
        }
    }
    for (int g = 0; g < s->segments; g++)
        vf_store(s->steps + g * W, vf_load(s->steps + g * W) / total);
}

static void pack_i16(const struct attention* a, void* to) {
    struct i16_scratch s;
    place_packed(&s, to, a->keys, a->size);
    pack_i16_keys(a, &s);
    pack_i16_values(a, &s);
}

static void attend_i16(const struct attention* a) {
    struct i16_scratch s;
    if (!a->packed) pack_i16(a, a->scratch);
    size_t packed = place_packed(&s, a->packed ? a->packed : a->scratch, a->keys, a->size);
    place(&s, (char*)a->scratch + packed);
    measure_i16_rows(a->q, a->q_stride, a->queries, a->size, s.query_scales, s.query_inverses);
    int height = tile_height(a->queries, TILE_ROWS);
    for (int r = 0; r < a->queries; r += height) {
        int rows = a->queries - r < height ? a->queries - r : height;
        for (int i = 0; i < rows; i++)
            for (int g = 0; g < s.groups; g += W)
                vi_store(
                    s.rows + i * s.groups + g, pair_of(
                                                   (const float*)a->q + (r + i) * a->q_stride,
                                                   2 * g, a->size, s.query_inverses[r + i]
                                               )
                );
        vf factor = vf_first(vf_load(s.query_scales + r), rows, 0);
        factor *= a->scale * 1.44269504f; // 1 / ln 2
        for (int j = 0; j < s.padded; j += PANEL)
            tile_i16[rows](
                s.rows, s.groups, s.keys + j * s.groups, s.groups, s.scales + j, s.biases + j, NULL,
                false, s.scores + j, s.stride
            );
        // A factor of nothing would take their biases from columns without a key.
        soften_i16(&s, rows, vf_max(factor, vf_set(1e-20f)));
        // No score is beyond the product of the norms. One that overflows, or a factor that is not finite, makes the row's
        // results NaN.
        vf lost = 0 * (factor * (LARGEST * *s.norms));
        for (int g = 0; g < s.segments; g++)
            vf_store(s.steps + g * W, vf_load(s.steps + g * W) + lost);
        for (int d = 0; d < a->size; d += PANEL) {
            const bool whole = a->size - d >= PANEL;
            float* y = whole ? a->out + r * a->out_stride + d : s.tile;
            for (int g = 0; g < s.segments; g++) {
                int from = g * SEGMENT,
                    keys = s.padded - from < SEGMENT ? s.padded - from : SEGMENT;
                tile_i16[rows](
                    (const int32_t*)s.scores + from / 2, s.stride,
                    s.values + d * s.padded / 2 + from / 2 * PANEL, keys / 2, s.value_scales + d,
                    NULL, s.steps + g * W, g > 0, y, whole ? a->out_stride : PANEL
                );
            }
            for (int i = 0; !whole && i < rows; i++)
                memcpy(
                    a->out + (r + i) * a->out_stride + d, s.tile + i * PANEL,
                    (a->size - d) * sizeof(float)
                );
        }
    }
}
