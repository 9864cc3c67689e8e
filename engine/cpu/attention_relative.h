// attention_relative.h: disentangled attention (weights.Relative), one head of one sequence. A score is
// q·k + q·K[r] + k·Q[r], scaled, where K and Q are rows of tables and r is the row of the distance i - j.
//
// Both tables lie transposed, a column for each row: K's by falling distance, so that the columns of a query lie in the
// order of its keys, and Q's by rising distance, so that those of a key lie in the order of its queries. Then a tile of
// queries by a few columns more than there are keys gives all q·K of the tile, and row i of it is added to the scores as it
// lies, from its own place on. A tile of keys by columns gives k·Q in the same way, transposed; it is turned by registers.
// Where distances share a row, as far ones do, the tables' columns are repeated first, once for each call.
//
// A block of queries has its scores against all keys in the cache at a time. Each score is the sum of its three products in
// this order, whatever tile it falls into.
//
// Scratch: packed keys [⌈L/PANEL⌉][D][PANEL], both tables [D][2 L + …], scores [RELATIVE_QUERIES][L + …], products k·Q
// [RELATIVE_KEYS][RELATIVE_STRIDE], one tile, places [2 L]: 4 (5 D + RELATIVE_QUERIES) bytes for each of L tokens.

enum {
    // Queries of a block. With TILE_ROWS keys, they have whole panels of distances.
    RELATIVE_QUERIES = (63 / PANEL + 2) * PANEL - TILE_ROWS + 1,
    // Keys whose products k·Q are made before they are added.
    RELATIVE_KEYS = 64,
    // Floats before and behind each row of scores that are written, but not read.
    RELATIVE_SLACK = 16,
    RELATIVE_STRIDE = RELATIVE_QUERIES + TILE_ROWS + 2 * PANEL,
};

INLINE ptrdiff_t relative_row(int keys) {
    return 2 * RELATIVE_SLACK + round_up(keys, PANEL) + 2 * PANEL;
}

// repeated_row is the length of a row of a table whose columns are repeated for up to L queries and keys.
INLINE ptrdiff_t repeated_row(int keys) {
    return round_up(2 * keys, 16) + 2 * PANEL + 16;
}

static size_t relative_scratch(int keys, int size) {
    size_t floats = (size_t)round_up(keys, PANEL) * size + 2 * repeated_row(keys) * size +
                    RELATIVE_QUERIES * relative_row(keys) + RELATIVE_KEYS * RELATIVE_STRIDE +
                    TILE_ROWS * PANEL + 2 * keys + 64;
    return sizeof(float) * floats;
}

// columns are some of a table, transposed: that of distance d begins at at + (d - least) or, where distances fall, at
// at + (most - d).
struct columns {
    const float* at; // [D][stride]
    ptrdiff_t stride;
    int least, most;
};

// columns_of returns the columns of distances from least to most. Where each distance has its own row, they are the table's.
INLINE struct columns columns_of(
    const struct attention* a,
    const struct relative* r,
    const float* table,
    bool falling,
    int least,
    int most,
    float* repeated,
    int32_t* places
) {
    const int middle = r->span; // the row of distance 0
    if (-least <= r->whole && most <= r->whole) {
        const int first = falling ? 2 * r->span - 1 - (middle + most) : middle + least;
        return (struct columns){table + first, r->stride, least, most};
    }
    const int32_t* rows = r->rows + r->farthest; // of distance 0
    const int n = most - least + 1;
    const ptrdiff_t stride = repeated_row((n + 1) / 2);
    for (int c = 0; c < n; c++)
        places[c] = falling ? 2 * r->span - 1 - rows[most - c] : rows[least + c];
    for (int d = 0; d < a->size; d++) {
        const float* restrict from = table + d * r->stride;
        float* restrict to = repeated + d * stride;
        for (int c = 0; c < n; c++)
            to[c] = from[places[c]];
    }
    return (struct columns){repeated, stride, least, most};
}

// add_position_keys adds q·K to the scores of `rows` queries from number `at` on.
INLINE void add_position_keys(
    const struct attention* a,
    const struct columns* table,
    const float* q,
    int rows,
    int at,
    float* scores,
    ptrdiff_t stride,
    float* tile
) {
    const int farthest = at + rows - 1; // of the last query and key 0: column 0
    const float* columns = table->at + (table->most - farthest);
    for (int c = 0; c < a->keys + rows - 1; c += PANEL) {
        tile_f32[rows](
            q, a->q_stride, columns + c, table->stride, a->size, NULL, NULL, 0, tile, PANEL
        );
        for (int i = 0; i < rows; i++) {
            float* row = scores + i * stride + c - (rows - 1 - i);
            UNROLL for (int v = 0; v < PANEL; v += W)
                vf_store(row + v, vf_load(row + v) + vf_load(tile + i * PANEL + v));
        }
    }
}

// add_position_queries adds k·Q to the scores of `rows` queries from number `at` on. products is [RELATIVE_KEYS][RELATIVE_STRIDE].
INLINE void add_position_queries(
    const struct attention* a,
    const struct columns* table,
    int rows,
    int at,
    float* scores,
    ptrdiff_t stride,
    float* products
) {
    const float* from[RELATIVE_KEYS]; // of each key, the product of the block's first query
    for (int first = 0; first < a->keys; first += RELATIVE_KEYS) {
        const int keys = a->keys - first < RELATIVE_KEYS ? a->keys - first : RELATIVE_KEYS;
        const int height = tile_height(keys, TILE_ROWS);
        for (int t = 0; t < keys; t += height) {
            const int n = keys - t < height ? keys - t : height, last = first + t + n - 1;
            const float* k = (const float*)a->k + (first + t) * a->kv_stride;
            const float* columns = table->at + (at - last - table->least);
            float* to = products + t * RELATIVE_STRIDE;
            for (int c = 0; c < rows + n - 1; c += PANEL)
                tile_f32[n](
                    k, a->kv_stride, columns + c, table->stride, a->size, NULL, NULL, 0, to + c,
                    RELATIVE_STRIDE
                );
            for (int j = 0; j < n; j++)
                from[t + j] = to + j * RELATIVE_STRIDE + (n - 1 - j);
        }
        for (int j = keys; j < round_up(keys, W); j++)
            from[j] = from[0]; // for scores that are not read
        for (int j = 0; j < keys; j += W)
            for (int i = 0; i < rows; i += W) {
                vf block[W];
                UNROLL for (int l = 0; l < W; l++) block[l] = vf_load(from[j + l] + i);
                vf_transpose(block);
                float* to = scores + i * stride + first + j;
                const int n = rows - i < W ? rows - i : W;
                if (n == W)
                    UNROLL for (int l = 0; l < W; l++)
                        vf_store(to + l * stride, vf_load(to + l * stride) + block[l]);
                else
                    for (int l = 0; l < n; l++)
                        vf_store(to + l * stride, vf_load(to + l * stride) + block[l]);
            }
    }
}

static void attend_relative(const struct attention* a, const struct relative* r, int head) {
    const float *q = a->q, *v = a->v;
    const ptrdiff_t padded = round_up(a->keys, PANEL), stride = relative_row(a->keys);
    float* packed = a->scratch;
    float* repeated = packed + padded * a->size;
    float* scores = repeated + 2 * repeated_row(a->keys) * a->size + RELATIVE_SLACK;
    float* products = scores + RELATIVE_QUERIES * stride;
    float* tile = products + RELATIVE_KEYS * RELATIVE_STRIDE;
    int32_t* places = (int32_t*)(tile + TILE_ROWS * PANEL);
    const int least = a->offset - (a->keys - 1), most = a->offset + a->queries - 1;
    struct columns keys = {0}, queries = {0};
    const ptrdiff_t table = head * a->size * r->stride;
    if (r->keys) keys = columns_of(a, r, r->keys + table, true, least, most, repeated, places);
    if (r->queries)
        queries = columns_of(
            a, r, r->queries + table, false, least, most,
            repeated + repeated_row(a->keys) * a->size, places
        );
    pack_keys(a, packed);
    for (int b = 0; b < a->queries; b += RELATIVE_QUERIES) {
        const int all = a->queries - b < RELATIVE_QUERIES ? a->queries - b : RELATIVE_QUERIES;
        const int height = tile_height(all, TILE_ROWS);
        for (int t = 0; t < all; t += height) {
            const int rows = all - t < height ? all - t : height;
            const float* from = q + (b + t) * a->q_stride;
            for (int j = 0; j < a->keys; j += PANEL)
                tile_f32[rows](
                    from, a->q_stride, packed + (ptrdiff_t)j * a->size, PANEL, a->size, NULL, NULL,
                    0, scores + t * stride + j, stride
                );
            if (keys.at)
                add_position_keys(
                    a, &keys, from, rows, a->offset + b + t, scores + t * stride, stride, tile
                );
        }
        if (queries.at)
            add_position_queries(a, &queries, all, a->offset + b, scores, stride, products);
        for (int t = 0; t < all; t += height) {
            const int rows = all - t < height ? all - t : height;
            float inverse[TILE_ROWS];
            float* softened = scores + t * stride;
            for (int i = 0; i < rows; i++)
                inverse[i] = 1 / soften(softened + i * stride, a->keys, a->scale);
            for (int d = 0; d < a->size; d += PANEL) {
                const int columns = a->size - d < PANEL ? a->size - d : PANEL;
                tile_f32[rows](
                    softened, stride, v + d, a->kv_stride, a->keys, NULL, NULL, 0, tile, PANEL
                );
                for (int i = 0; i < rows; i++)
                    for (int c = 0; c < columns; c++)
                        a->out[(b + t + i) * a->out_stride + d + c] =
                            tile[i * PANEL + c] * inverse[i];
            }
        }
    }
}
