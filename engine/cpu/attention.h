// attention.h: one head of keys of one sequence, a tile of queries at a time; their scores against all keys never leave the
// cache. Keys are packed once, for all heads of queries that share them, into the panels of gemm_f32.h; values are used where
// they lie. Keys that no query of a tile sees are left out, so that causal attention is half of the work.
//
// Scratch: packed keys [⌈L/PANEL⌉][D][PANEL], scores [TILE_ROWS][L padded], one tile of outputs.

static size_t attention_scratch(int keys, int size) {
    size_t padded = round_up(keys, PANEL);
    return sizeof(float) * (padded * size + TILE_ROWS * (padded + PANEL) + TILE_ROWS * PANEL);
}

// pack_columns makes W columns of a panel from `n` keys, zeros behind them.
INLINE void pack_columns(const float* k, ptrdiff_t stride, int n, int size, float* columns) {
    int d = 0;
    if (n >= W)
        for (; d + W <= size; d += W) {
            vf block[W];
            UNROLL for (int i = 0; i < W; i++) block[i] = vf_load(k + i * stride + d);
            vf_transpose(block);
            UNROLL for (int i = 0; i < W; i++) vf_store(columns + (d + i) * PANEL, block[i]);
        }
    for (; d < size; d++)
        for (int i = 0; i < W; i++)
            columns[d * PANEL + i] = i < n ? k[i * stride + d] : 0;
}

static size_t packed_keys_size(int keys, int size) {
    return sizeof(float) * round_up(keys, PANEL) * size;
}

static void pack_keys(const struct attention* a, void* to) {
    float* packed = to;
    for (int j = 0; j < round_up(a->keys, PANEL); j += W)
        pack_columns(
            (const float*)a->k + j * a->kv_stride, a->kv_stride, a->keys - j, a->size,
            packed + j / PANEL * PANEL * a->size + j % PANEL
        );
}

// soften_each replaces vectors of scores by 2^(scale · score + shift), and adds them up in sums; a score that is not finite
// makes its sum NaN.
INLINE void soften_each(vf* x, const int count, vf scale, vf shift, vf* sums) {
    FOR_EACH sums[i] = vf_or_nan(sums[i], x[i]);
    FOR_EACH x[i] = vf_max(vf_fma(x[i], scale, shift), vf_set(-126));
    vf_exp2_each(x, count);
    FOR_EACH sums[i] += x[i];
}

// soften replaces a row of scores by exp(scale · (score - largest)), zero behind its n, and returns their sum.
INLINE float soften(float* row, int n, float scale) {
    vf top = vf_set(row[0]);
    int whole = n - n % W, j = 0;
    for (int i = 0; i < whole; i += W)
        top = vf_max(top, vf_load(row + i));
    vf last = vf_first(vf_load(row + whole), n - whole, row[0]);
    scale *= 1.44269504f; // 1 / ln 2
    vf factor = vf_set(scale), shift = vf_set(-scale * vf_top(vf_max(top, last)));
    vf sums[EACH] = {{0}};
    for (; j + EACH * W <= whole; j += EACH * W) {
        vf e[EACH];
        UNROLL for (int i = 0; i < EACH; i++) e[i] = vf_load(row + j + i * W);
        soften_each(e, EACH, factor, shift, sums);
        UNROLL for (int i = 0; i < EACH; i++) vf_store(row + j + i * W, e[i]);
    }
    vf sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (; j < whole; j += W) {
        vf e = vf_load(row + j);
        soften_each(&e, 1, factor, shift, &sum);
        vf_store(row + j, e);
    }
    vf rest = {0};
    soften_each(&last, 1, factor, shift, &rest);
    vf_store(row + whole, vf_first(last, n - whole, 0));
    return vf_sum(sum + vf_first(rest, n - whole, 0));
}

// soften_range softens scores [begin, end) of a row of n, and makes the others zero. Sums go by vectors that begin at
// multiples of W.
INLINE float soften_range(float* row, int n, int begin, int end, float scale) {
    const float least = -0x1.fffffep127f; // no finite score is below it
    int from = begin - begin % W;
    for (int j = from; j < begin; j++)
        row[j] = least;
    float sum = soften(row + from, end - from, scale);
    for (int j = 0; j < begin; j++)
        row[j] = 0;
    for (int j = end; j < n; j++)
        row[j] = 0;
    return sum;
}

// take_distance takes slope times the distance to query `at` from the scores of keys [first, first + n).
INLINE void take_distance(float* row, int first, int n, int at, float slope) {
    for (int j = 0; j < n; j++)
        row[j] -= slope * (float)abs(first + j - at);
}

// attend_packed is attend for one head of queries, once the keys are packed.
INLINE void attend_packed(
    const struct attention* a,
    const float* keys,
    const float* q,
    float* out
) {
    const float* v = a->v;
    int padded = round_up(a->keys, PANEL), stride = padded + PANEL;
    float* scores = (float*)a->scratch + (ptrdiff_t)padded * a->size;
    float* tile = scores + TILE_ROWS * stride;
    int height = tile_height(a->queries, TILE_ROWS);
    for (int r = 0; r < a->queries; r += height) {
        int rows = a->queries - r < height ? a->queries - r : height;
        int at = a->offset + r, first = 0, last = a->keys; // the keys that the rows see
        if (at > a->before) first = (at - a->before) / PANEL * PANEL;
        if (at + rows + a->after < last) last = at + rows + a->after;
        float inverse[TILE_ROWS];
        for (int j = first; j < last; j += PANEL)
            tile_f32[rows](
                q + r * a->q_stride, a->q_stride, keys + (ptrdiff_t)j * a->size, PANEL, a->size,
                NULL, NULL, 0, scores + j - first, stride
            );
        for (int i = 0; i < rows; i++) {
            float* row = scores + i * stride;
            if (a->slope != 0) take_distance(row, first, last - first, at + i, a->slope / a->scale);
            int begin = first, end = last;
            if (at + i - a->before > begin) begin = at + i - a->before;
            if (at + i + a->after + 1 < end) end = at + i + a->after + 1;
            inverse[i] = 1 / soften_range(row, last - first, begin - first, end - first, a->scale);
        }
        for (int d = 0; d < a->size; d += PANEL) {
            int columns = a->size - d < PANEL ? a->size - d : PANEL;
            tile_f32[rows](
                scores, stride, v + first * a->kv_stride + d, a->kv_stride, last - first, NULL,
                NULL, 0, tile, PANEL
            );
            for (int i = 0; i < rows; i++)
                for (int c = 0; c < columns; c++)
                    out[(r + i) * a->out_stride + d + c] = tile[i * PANEL + c] * inverse[i];
        }
    }
}

static void attend(const struct attention* a) {
    if (!a->packed) pack_keys(a, a->scratch);
    const float* keys = a->packed ? a->packed : a->scratch;
    for (int head = 0; head < a->heads; head++)
        attend_packed(a, keys, (const float*)a->q + head * a->size, a->out + head * a->size);
}
