// attention_i16.h: attention by products of 16-bit integers, which take half the time of those of floats. Scores and softmax
// are floats. As in attention.h, a tile of queries at a time has its scores against all keys in the cache.
//
// No sum overflows 32 bits, by its bounds:
//   scores: a row of queries or keys is scaled to a Euclidean norm of 2¹⁵ - 1, so that |q·k| < 2³⁰ (Cauchy and Schwarz)
//   output: probabilities of a segment add up to 2¹⁵ - 1, and values are within ±(2¹⁵ - 1)
// Rounding half a step of q and k moves a score by some 1e-5 of |q||k|/√D, and that of a probability is 1.5e-5 of their sum.
// The products with weights have rows of eight bits, whose steps are a hundred times as large.
//
// Scratch: keys [⌈L/PANEL⌉][groups][PANEL] pairs of terms; their scales and biases [L padded]; values'
// scales [D padded]; values
// [⌈D/PANEL⌉][⌈L/2⌉][PANEL] pairs of keys; queries [TILE_ROWS][groups]; scores [TILE_ROWS][L padded], which probabilities
// replace; steps of those [TILE_ROWS][segments]; one tile of outputs; W keys, transposed.

#define LARGEST 32767.0f

enum {
    // The keys whose probabilities share a scale. A scale for more would lose small probabilities.
    SEGMENT = 512,
    PAIRS = 2 * STEP, // terms, of which a product has a multiple
};

typedef short vi16 __attribute__((vector_size(2 * W)));

// rounded has in its low 16 bits the integer next to x, which is within ±2¹⁵: ROUNDING has zeros there.
INLINE vi rounded(vf x, vf factor) {
    return (vi)vf_fma(x, factor, vf_set(ROUNDING));
}

// pairs joins the low 16 bits of both.
INLINE vi pairs(vi first, vi second) {
    return (first & 0xffff) | (second << 16);
}

INLINE void store_shorts(void* to, vi v) {
    vi16 low = (vi16)VI_LOW_SHORTS(v);
    memcpy(to, &low, sizeof low);
}

// load_first loads the first n of W floats, zeros behind them.
INLINE vf load_first(const float* x, int n) {
    return n >= W ? vf_load(x) : vf_first(vf_load(x), n, 0);
}

// unit returns the value of one step, given that of LARGEST steps, and its inverse: 0 for 0.
INLINE vf unit(vf largest, vf* inverse) {
    *inverse = vf_select(largest > 0, vf_set(LARGEST) / largest, vf_set(0));
    return largest * (1 / LARGEST);
}

struct i16_scratch {
    int groups, padded, stride, value_groups, segments; // stride is between rows of scores
    int32_t *keys, *values, *queries;
    float *scales, *biases, *value_scales, *scores, *steps, *tile, *turned;
};

// place lays out the scratch of attention over so many keys; from NULL it gives the size.
INLINE size_t place(struct i16_scratch* s, char* from, int keys, int size) {
    s->groups = round_up(size, PAIRS) / 2;
    s->padded = round_up(keys, PANEL);
    s->stride = s->padded + PANEL;
    s->value_groups = round_up(keys, PAIRS) / 2;
    s->segments = (s->padded + SEGMENT - 1) / SEGMENT;
    size_t used = 0;
#define TAKE(field, count) s->field = (void*)(from + used), used += 4 * (size_t)round_up(count, 16)
    TAKE(keys, s->padded * s->groups);
    TAKE(scales, s->padded);
    TAKE(biases, s->padded);
    TAKE(value_scales, round_up(size, PANEL));
    TAKE(values, round_up(size, PANEL) * s->value_groups);
    TAKE(queries, TILE_ROWS * s->groups + W); // the last row's last vector may go beyond it
    TAKE(scores, TILE_ROWS * s->stride);
    TAKE(steps, TILE_ROWS * s->segments);
    TAKE(tile, TILE_ROWS * PANEL);
    TAKE(turned, W * round_up(size, W));
#undef TAKE
    return used;
}

static size_t attention_i16_scratch(int keys, int size) {
    struct i16_scratch s;
    return place(&s, NULL, keys, size);
}

// pack_i16_keys makes W columns of a panel from n keys, which may be none or more than W. Columns without a key have a bias
// that makes their probabilities zero.
INLINE void pack_i16_keys(
    const float* k,
    ptrdiff_t stride,
    int n,
    int size,
    int groups,
    float* turned,
    int32_t* columns,
    float* scales,
    float* biases
) {
    vf norms = vf_set(0), inverse;
    for (int d = 0; d < size; d += W) {
        vf block[W];
        UNROLL for (int i = 0; i < W; i++) block[i] =
            i < n ? load_first(k + i * stride + d, size - d) : vf_set(0);
        vf_transpose(block);
        UNROLL for (int i = 0; i < W; i++) {
            norms = vf_fma(block[i], block[i], norms);
            vf_store(turned + (d + i) * W, block[i]);
        }
    }
    vf_store(scales, unit((vf)VF_SQRT(norms), &inverse));
    vf_store(biases, vf_first(vf_set(0), n, -1e30f));
    for (int g = 0; g < groups; g++) {
        vi pair = vi_set(0);
        if (2 * g < size)
            pair = pairs(
                rounded(vf_load(turned + 2 * g * W), inverse),
                rounded(vf_load(turned + (2 * g + 1) * W), inverse)
            );
        memcpy(columns + g * PANEL, &pair, sizeof pair);
    }
}

// pack_i16_values makes pairs of keys. A column has its own scale.
INLINE void pack_i16_values(const struct attention* a, const struct i16_scratch* s) {
    for (int d = 0; d < a->size; d += W) {
        const float* v = (const float*)a->v + d;
        vf low = vf_set(0), high = vf_set(0), lost = vf_set(0), inverse;
        for (int j = 0; j < a->keys; j++) {
            vf x = vf_load(v + j * a->kv_stride);
            low = vf_min(low, x);
            high = vf_max(high, x);
            lost = vf_or_nan(lost, x);
        }
        vf largest = vf_first(vf_max(high, -low) + lost, a->size - d, 0);
        vf_store(s->value_scales + d, unit(largest, &inverse));
        int32_t* column = s->values + d / PANEL * PANEL * s->value_groups + d % PANEL;
        for (int g = 0; g < s->value_groups; g++) {
            vi each[2] = {vi_set(0), vi_set(0)};
            UNROLL for (int i = 0; i < 2; i++) if (2 * g + i < a->keys) each[i] =
                rounded(vf_load(v + (2 * g + i) * a->kv_stride), inverse);
            vi pair = pairs(each[0], each[1]);
            memcpy(column + g * PANEL, &pair, sizeof pair);
        }
    }
}

// tile_i16_rows computes y[rows, PANEL] = x · w · factor of the row · scale of the column + bias of the column, or where
// biases are NULL, adds the products to y.
INLINE void tile_i16_rows(
    const int rows,
    const int32_t* x,
    ptrdiff_t x_stride,
    const int32_t* w,
    int groups,
    const float* factors,
    const float* scales,
    const float* biases,
    float* y,
    ptrdiff_t y_stride
) {
    vi sum[TILE_ROWS][TILE_VECTORS];
    sum_tile(rows, true, x, x_stride, w, groups, NULL, sum);
    UNROLL for (int v = 0; v < TILE_VECTORS; v++) {
        vf scale = vf_load(scales + v * W), bias = biases ? vf_load(biases + v * W) : vf_set(0);
        UNROLL for (int i = 0; i < rows; i++) {
            float* to = y + i * y_stride + v * W;
            vf value = __builtin_convertvector(sum[i][v], vf);
            vf_store(to, vf_fma(value, scale * factors[i], biases ? bias : vf_load(to)));
        }
    }
}

// As with tile_f32, not inlined.
#define TILE_I16(rows)                                                                             \
    static NOINLINE void tile_i16_##rows(                                                          \
        const int32_t* x, ptrdiff_t x_stride, const int32_t* w, int groups, const float* factors,  \
        const float* scales, const float* biases, float* y, ptrdiff_t y_stride                     \
    ) {                                                                                            \
        tile_i16_rows(rows, x, x_stride, w, groups, factors, scales, biases, y, y_stride);         \
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
    float*,
    ptrdiff_t
) = {NULL, TILE_HEIGHTS(NAME_TILE_I16)};

// soften_i16 replaces a row of scores, which are logarithms to base 2, by probabilities of 16 bits, and returns the sum of
// 2^(score - largest). steps[g] is the value of a step of segment g, which is to be divided by that sum.
INLINE float soften_i16(float* row, int padded, float* steps) {
    vf tops[2] = {vf_load(row), vf_load(row + W)};
    for (int j = PANEL; j < padded; j += 2 * W) {
        tops[0] = vf_max(tops[0], vf_load(row + j));
        tops[1] = vf_max(tops[1], vf_load(row + j + W));
    }
    vf top = vf_set(vf_top(vf_max(tops[0], tops[1])));
    float total = 0;
    for (int from = 0; from < padded; from += SEGMENT) {
        int end = from + SEGMENT < padded ? from + SEGMENT : padded;
        vf sums[2] = {{0}, {0}};
        for (int j = from; j < end; j += 2 * W)
            UNROLL for (int i = 0; i < 2; i++) {
                vf e = vf_exp2_coarse(vf_load(row + j + i * W) - top);
                sums[i] += e;
                vf_store(row + j + i * W, e);
            }
        float sum = vf_sum(sums[0] + sums[1]);
        // A segment of the smallest exponentials counts as nothing, and its inverse would overflow.
        vf factor = vf_set(LARGEST / (sum > 1e-30f ? sum : 1e-30f));
        for (int j = from; j < end; j += W)
            store_shorts((uint16_t*)row + j, rounded(vf_load(row + j), factor));
        steps[from / SEGMENT] = sum * (1 / LARGEST);
        total += sum;
    }
    return total;
}

// store_i16_query returns the value of a step of a query.
INLINE float store_i16_query(const float* q, int size, int32_t* to) {
    vf squares = vf_set(0);
    for (int d = 0; d < size; d += W) {
        vf x = load_first(q + d, size - d);
        squares = vf_fma(x, x, squares);
    }
    // Not by unit: a root and a quotient of one lane take a fraction of the time of W.
    float norm = __builtin_sqrtf(vf_sum(squares));
    vf inverse = vf_set(norm > 0 ? LARGEST / norm : 0);
    for (int d = 0; d < size; d += W)
        store_shorts((uint16_t*)to + d, rounded(load_first(q + d, size - d), inverse));
    return norm / LARGEST;
}

static void attend_i16(const struct attention* a) {
    struct i16_scratch s;
    place(&s, a->scratch, a->keys, a->size);
    float norms = 0; // the sum of the keys'
    for (int j = 0; j < s.padded; j += W) {
        pack_i16_keys(
            (const float*)a->k + j * a->kv_stride, a->kv_stride, a->keys - j, a->size, s.groups,
            s.turned, s.keys + j / PANEL * PANEL * s.groups + j % PANEL, s.scales + j, s.biases + j
        );
        norms += LARGEST * vf_sum(vf_load(s.scales + j));
    }
    pack_i16_values(a, &s);
    int height = tile_height(a->queries, TILE_ROWS);
    for (int r = 0; r < a->queries; r += height) {
        int rows = a->queries - r < height ? a->queries - r : height;
        float factors[TILE_ROWS];
        for (int i = 0; i < rows; i++)
            factors[i] = store_i16_query(
                             (const float*)a->q + (r + i) * a->q_stride, a->size,
                             s.queries + i * s.groups
                         ) *
                         a->scale * 1.44269504f; // 1 / ln 2
        for (int j = 0; j < s.padded; j += PANEL)
            tile_i16[rows](
                s.queries, s.groups, s.keys + j * s.groups, s.groups, factors, s.scales + j,
                s.biases + j, s.scores + j, s.stride
            );
        for (int i = 0; i < rows; i++) {
            float* steps = s.steps + i * s.segments;
            float sum = soften_i16(s.scores + i * s.stride, s.padded, steps);
            // No score is beyond the product of the norms. One that overflows, or a factor that is not finite, makes the
            // row's results NaN.
            float lost = 0 * (factors[i] * LARGEST * norms);
            for (int g = 0; g < s.segments; g++)
                steps[g] = steps[g] / sum + lost;
        }
        for (int d = 0; d < a->size; d += PANEL) {
            memset(s.tile, 0, sizeof(float) * TILE_ROWS * PANEL);
            for (int g = 0; g < s.segments; g++) {
                int from = g * SEGMENT / 2, groups = s.value_groups - from;
                for (int i = 0; i < rows; i++)
                    factors[i] = s.steps[i * s.segments + g];
                tile_i16[rows](
                    (const int32_t*)s.scores + from, s.stride,
                    s.values + d * s.value_groups + from * PANEL,
                    groups < SEGMENT / 2 ? groups : SEGMENT / 2, factors, s.value_scales + d, NULL,
                    s.tile, PANEL
                );
            }
            int columns = a->size - d < PANEL ? a->size - d : PANEL;
            for (int i = 0; i < rows; i++)
                memcpy(
                    a->out + (r + i) * a->out_stride + d, s.tile + i * PANEL,
                    columns * sizeof(float)
                );
        }
    }
}
