// attention.h: one head of one sequence, a tile of queries at a time, whose scores against all keys never leave the
// cache. Keys are packed once per head into the panels of gemm_f32.h; values are used where they lie.
//
// Scratch: packed keys [⌈L/PANEL⌉][D][PANEL], scores [TILE_ROWS][L padded], one tile of outputs.

static size_t attention_scratch(int keys, int size) {
    size_t padded = round_up(keys, PANEL);
    return sizeof(float) * (padded * size + TILE_ROWS * (padded + PANEL) + TILE_ROWS * PANEL);
}

INLINE void pack_keys(const struct attention* a, float* packed) {
    const float* k = a->k;
    for (int j = 0; j < a->keys; j += PANEL) {
        int n = a->keys - j < PANEL ? a->keys - j : PANEL;
        for (int i = 0; i < n; i++)
            for (int d = 0; d < a->size; d++)
                packed[d * PANEL + i] = k[(j + i) * a->kv_stride + d];
        for (int i = n; i < PANEL; i++)
            for (int d = 0; d < a->size; d++)
                packed[d * PANEL + i] = 0;
        packed += a->size * PANEL;
    }
}

// soften replaces a row of scores by exp(scale · (score - largest)), zero behind its n, and returns their sum.
INLINE float soften(float* row, int n, float scale) {
    vf top = vf_set(row[0]);
    int whole = n - n % W;
    for (int j = 0; j < whole; j += W)
        top = vf_max(top, vf_load(row + j));
    vf last = vf_first(vf_load(row + whole), n - whole, row[0]);
    float shift = -scale * vf_top(vf_max(top, last));
    vf sum = vf_set(0);
    for (int j = 0; j < whole; j += W) {
        vf e = vf_exp(vf_fma(vf_load(row + j), vf_set(scale), vf_set(shift)));
        vf_store(row + j, e);
        sum += e;
    }
    last = vf_exp(vf_fma(last, vf_set(scale), vf_set(shift)));
    last = vf_first(last, n - whole, 0);
    vf_store(row + whole, last);
    return vf_sum(sum + last);
}

static void attend(const struct attention* a) {
    const float *q = a->q, *v = a->v;
    int padded = round_up(a->keys, PANEL), stride = padded + PANEL;
    float* keys = a->scratch;
    float* scores = keys + (ptrdiff_t)padded * a->size;
    float* tile = scores + TILE_ROWS * stride;
    pack_keys(a, keys);
    int height = tile_height(a->queries, TILE_ROWS);
    for (int r = 0; r < a->queries; r += height) {
        int rows = a->queries - r < height ? a->queries - r : height;
        float inverse[TILE_ROWS];
        for (int j = 0; j < padded; j += PANEL)
            tile_f32(
                rows, q + r * a->q_stride, a->q_stride, keys + (ptrdiff_t)j * a->size, PANEL,
                a->size, NULL, NULL, 0, scores + j, stride
            );
        for (int i = 0; i < rows; i++)
            inverse[i] = 1 / soften(scores + i * stride, a->keys, a->scale);
        for (int d = 0; d < a->size; d += PANEL) {
            int columns = a->size - d < PANEL ? a->size - d : PANEL;
            tile_f32(
                rows, scores, stride, v + d, a->kv_stride, a->keys, NULL, NULL, 0, tile, PANEL
            );
            for (int i = 0; i < rows; i++)
                for (int c = 0; c < columns; c++)
                    a->out[(r + i) * a->out_stride + d + c] = tile[i * PANEL + c] * inverse[i];
        }
    }
}
