// attention_amx.h: one head of one sequence in bfloat16 on tile registers, 32 queries at a time; their scores never leave
// the cache. Queries are loaded from where they lie, if D is a multiple of 32; keys and values are packed into tiles, once
// for each head. Softmax is float, but for its results.
//
// Scratch: keys [⌈L/32⌉][2][⌈D/32⌉] tiles, values [⌈D/32⌉][2][⌈L/32⌉] tiles, queries [2][⌈D/32⌉] tiles, scores
// [32][⌈L/32⌉·32] floats with a cache line behind each row, and 32 columns of results. Probabilities are put into the first
// half of a row of scores.

enum { AMX_QUERIES = 32 };

// pieces_of 32: of keys, or of a head.
INLINE int pieces_of(int n) {
    return (n + 31) / 32;
}

static size_t attention_amx_scratch(int keys, int size) {
    const int l = pieces_of(keys), d = pieces_of(size);
    return (size_t)TILE_BYTES * (4 * l * d + 2 * d) + AMX_QUERIES * (128 * l + 64) +
           sizeof(amx_sums);
}

// head_line loads 32 values of a row of a head of `size`, from `at` on, zeros behind its end.
INLINE __m512i head_line(const uint16_t* row, int at, int size) {
    const int n = size - at;
    return n >= 32 ? _mm512_loadu_si512(row + at)
                   : _mm512_maskz_loadu_epi16((1u << n) - 1, row + at);
}

// transpose exchanges rows and columns of 16 × 16 pairs of values.
INLINE void transpose(__m512i r[16]) {
    __m512i t[16], u[16];
    UNROLL for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    UNROLL for (int i = 0; i < 16; i += 4) UNROLL for (int j = 0; j < 2; j++) {
        u[i + 2 * j] = _mm512_unpacklo_epi64(t[i + j], t[i + j + 2]);
        u[i + 2 * j + 1] = _mm512_unpackhi_epi64(t[i + j], t[i + j + 2]);
    }
    // Lane l of u[i + j] has column 4 l + j of rows i to i + 3.
    UNROLL for (int j = 0; j < 4; j++) {
        __m512i a = _mm512_shuffle_i32x4(u[j], u[4 + j], 0x88);
        __m512i b = _mm512_shuffle_i32x4(u[8 + j], u[12 + j], 0x88);
        __m512i c = _mm512_shuffle_i32x4(u[j], u[4 + j], 0xdd);
        __m512i d = _mm512_shuffle_i32x4(u[8 + j], u[12 + j], 0xdd);
        r[j] = _mm512_shuffle_i32x4(a, b, 0x88);
        r[4 + j] = _mm512_shuffle_i32x4(c, d, 0x88);
        r[8 + j] = _mm512_shuffle_i32x4(a, b, 0xdd);
        r[12 + j] = _mm512_shuffle_i32x4(c, d, 0xdd);
    }
}

// pack_keys_amx makes tiles: lines are pairs of a head's values, columns are keys. Behind the last key are zeros.
INLINE void pack_keys_amx(const struct attention* a, char* tiles) {
    for (int j = 0; j < round_up(a->keys, 32); j += 16)
        for (int d = 0; d < a->size; d += 32, tiles += TILE_BYTES) {
            __m512i lines[16];
            UNROLL for (int i = 0; i < 16; i++) {
                const uint16_t* key = (const uint16_t*)a->k + (j + i) * a->kv_stride;
                lines[i] = j + i < a->keys ? head_line(key, d, a->size) : _mm512_setzero_si512();
            }
            transpose(lines);
            UNROLL for (int i = 0; i < 16; i++) _mm512_storeu_si512(tiles + 64 * i, lines[i]);
        }
}

// pack_values_amx makes tiles: lines are pairs of keys, columns are a head's values.
INLINE void pack_values_amx(const struct attention* a, char* tiles) {
    static const uint16_t LOW[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                     8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
    const __m512i low = _mm512_loadu_si512(LOW),
                  high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    const int l = pieces_of(a->keys);
    for (int d = 0; d < a->size; d += 32, tiles += 2 * l * TILE_BYTES)
        for (int j = 0; j < 32 * l; j += 2) {
            const uint16_t* row = (const uint16_t*)a->v + j * a->kv_stride;
            __m512i even = _mm512_setzero_si512(), odd = even;
            if (j < a->keys) even = head_line(row, d, a->size);
            if (j + 1 < a->keys) odd = head_line(row + a->kv_stride, d, a->size);
            char* line = tiles + j / 32 * TILE_BYTES + j % 32 * 32;
            _mm512_storeu_si512(line, _mm512_permutex2var_epi16(even, low, odd));
            _mm512_storeu_si512(line + l * TILE_BYTES, _mm512_permutex2var_epi16(even, high, odd));
        }
}

// soften_amx replaces a row of n scores by exp(scale · (score - largest)) in bfloat16, zero up to a multiple of 32, and
// returns the inverse of their sum, NaN where a score is not finite. scale counts in powers of two.
INLINE float soften_amx(float* row, int n, float scale) {
    const int whole = n & ~31;
    const __mmask16 m0 = n - whole >= 16 ? 0xffff : (1u << (n - whole)) - 1;
    const __mmask16 m1 = n - whole >= 16 ? (1u << (n - whole - 16)) - 1 : 0;
    const vf lowest = vf_set(-__builtin_inff());
    vf last0 = lowest, last1 = lowest;
    if (whole < n) {
        last0 = (vf)_mm512_mask_loadu_ps((__m512)lowest, m0, row + whole);
        last1 = (vf)_mm512_mask_loadu_ps((__m512)lowest, m1, row + whole + W);
    }
    vf top0 = last0, top1 = last1;
    for (int j = 0; j < whole; j += 2 * W) {
        top0 = vf_max(top0, vf_load(row + j));
        top1 = vf_max(top1, vf_load(row + j + W));
    }
    const vf shift = vf_set(-scale * vf_top(vf_max(top0, top1)));
    // The lanes behind n have no score: 0 stands for it.
    vf sum0 = vf_or_nan(vf_set(0), (vf)_mm512_maskz_mov_ps(m0, (__m512)last0));
    vf sum1 = vf_or_nan(vf_set(0), (vf)_mm512_maskz_mov_ps(m1, (__m512)last1));
    for (int j = 0; j < whole; j += 2 * W) {
        vf s0 = vf_load(row + j), s1 = vf_load(row + j + W);
        vf e0 = vf_exp2_coarse(vf_fma(s0, vf_set(scale), shift));
        vf e1 = vf_exp2_coarse(vf_fma(s1, vf_set(scale), shift));
        sum0 = vf_or_nan(sum0 + e0, s0);
        sum1 = vf_or_nan(sum1 + e1, s1);
        _mm512_storeu_si512((char*)row + 2 * j, pair_bf16(e0, e1));
    }
    if (whole < n) {
        vf e0 = (vf
        )_mm512_maskz_mov_ps(m0, (__m512)vf_exp2_coarse(vf_fma(last0, vf_set(scale), shift)));
        vf e1 = (vf
        )_mm512_maskz_mov_ps(m1, (__m512)vf_exp2_coarse(vf_fma(last1, vf_set(scale), shift)));
        sum0 += e0;
        sum1 += e1;
        _mm512_storeu_si512((char*)row + 2 * whole, pair_bf16(e0, e1));
    }
    return 1 / vf_sum(sum0 + sum1);
}

// query_tiles are those of 32 queries from r on: where they lie, or packed, with zeros where there is no query.
INLINE struct tiles query_tiles(const struct attention* a, int r, char* packed) {
    const int d = pieces_of(a->size), rows = a->queries - r < 32 ? a->queries - r : 32;
    const char* q = (const char*)a->q + r * a->q_stride * 2;
    if (a->size % 32 == 0 && rows % 16 == 0)
        return (struct tiles){.x0 = q,
                              .x1 = rows > 16 ? q + 16 * a->q_stride * 2 : NULL,
                              .x_line = a->q_stride * 2,
                              .x_step = 64,
                              .steps = d};
    for (int i = 0; i < 32; i++)
        for (int s = 0; s < d; s++) {
            __m512i line = _mm512_setzero_si512();
            if (i < rows) line = head_line((const uint16_t*)q + i * a->q_stride, 32 * s, a->size);
            _mm512_storeu_si512(line_of(packed, i, s, d), line);
        }
    return (struct tiles){.x0 = packed,
                          .x1 = rows > 16 ? packed + d * TILE_BYTES : NULL,
                          .x_line = 64,
                          .x_step = TILE_BYTES,
                          .steps = d};
}

INLINE void multiply_tiles(const struct tiles* t, void* sums, ptrdiff_t line) {
    if (t->x1)
        tile_amx(KIND_BF16, ACTIVATION_NONE, t, true, sums, line, NULL, NULL);
    else
        tile_amx(KIND_BF16, ACTIVATION_NONE, t, true, sums, line, NULL, NULL);
}

static void attend_amx(const struct attention* a) {
    const int l = pieces_of(a->keys), d = pieces_of(a->size);
    const ptrdiff_t line = 128 * l + 64; // of scores, in bytes
    char* keys = a->scratch;
    char* values = keys + 2 * l * d * TILE_BYTES;
    char* queries = values + 2 * l * d * TILE_BYTES;
    char* scores = queries + 2 * d * TILE_BYTES;
    float* result = (float*)(scores + AMX_QUERIES * line);
    pack_keys_amx(a, keys);
    pack_values_amx(a, values);
    for (int r = 0; r < a->queries; r += AMX_QUERIES) {
        const int rows = a->queries - r < AMX_QUERIES ? a->queries - r : AMX_QUERIES;
        struct tiles t = query_tiles(a, r, queries);
        for (int j = 0; j < l; j++) {
            t.w0 = keys + 2 * j * d * TILE_BYTES;
            t.w1 = t.w0 + d * TILE_BYTES;
            multiply_tiles(&t, scores + 128 * j, line);
        }
        float inverse[AMX_QUERIES];
        for (int i = 0; i < rows; i++)
            inverse[i] = soften_amx((float*)(scores + i * line), a->keys, a->scale * 1.44269504f);
        for (int s = 0; s < d; s++) {
            struct tiles p = {
                .x0 = scores,
                .x1 = rows > 16 ? scores + 16 * line : NULL,
                .x_line = line,
                .x_step = 64,
                .w0 = values + 2 * s * l * TILE_BYTES,
                .w1 = values + (2 * s + 1) * l * TILE_BYTES,
                .steps = l,
            };
            multiply_tiles(&p, result, 4 * AMX_COLUMNS);
            for (int i = 0; i < rows; i++) {
                float* out = a->out + (r + i) * a->out_stride + 32 * s;
                const int n = a->size - 32 * s;
                for (int v = 0; v < AMX_COLUMNS; v += W) {
                    const __mmask16 m = n - v >= W ? 0xffff : n > v ? (1u << (n - v)) - 1 : 0;
                    vf value = vf_load(result + i * AMX_COLUMNS + v) * inverse[i];
                    _mm512_mask_storeu_ps(out + v, m, (__m512)value);
                }
            }
        }
    }
}
