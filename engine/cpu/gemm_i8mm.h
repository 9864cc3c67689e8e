// gemm_i8mm.h: the int8 product by ARM's usmmla, which multiplies two rows of eight bytes by two columns of eight into
// 2 × 2 sums. Weights come in groups of eight terms, so that two columns are one vector.

enum { I8MM_ROWS = 8, I8MM_PAIRS = PANEL / 2 };

// tile_i8mm computes sums [I8MM_ROWS, PANEL]; rows that are not there, from `rows` on, repeat the last one.
INLINE void tile_i8mm(
    const uint8_t* x,
    ptrdiff_t x_stride,
    int rows,
    const int8_t* w,
    int k,
    int32_t (*sums)[PANEL]
) {
    // Two passes over the columns: 4 row pairs × 4 column pairs are 16 registers of sums.
    for (int half = 0; half < I8MM_PAIRS; half += 4) {
        int32x4_t sum[I8MM_ROWS / 2][4];
        UNROLL for (int i = 0; i < I8MM_ROWS / 2; i++) UNROLL for (int j = 0; j < 4; j++)
            sum[i][j] = vdupq_n_s32(0);
        const uint8_t* row[I8MM_ROWS];
        UNROLL for (int i = 0; i < I8MM_ROWS; i++) row[i] =
            x + (i < rows ? i : rows - 1) * x_stride;
        for (int g = 0; g < k; g += 8) {
            int8x16_t weights[4];
            UNROLL for (int j = 0; j < 4; j++) weights[j] =
                vld1q_s8(w + (ptrdiff_t)g * PANEL + (half + j) * 16);
            UNROLL for (int i = 0; i < I8MM_ROWS / 2; i++) {
                uint8x16_t pair = vcombine_u8(vld1_u8(row[2 * i] + g), vld1_u8(row[2 * i + 1] + g));
                UNROLL for (int j = 0; j < 4; j++) sum[i][j] =
                    vusmmlaq_s32(sum[i][j], pair, weights[j]);
            }
        }
        UNROLL for (int i = 0; i < I8MM_ROWS / 2; i++) UNROLL for (int j = 0; j < 4; j++) {
            vst1_s32(sums[2 * i] + 2 * (half + j), vget_low_s32(sum[i][j]));
            vst1_s32(sums[2 * i + 1] + 2 * (half + j), vget_high_s32(sum[i][j]));
        }
    }
}

static void run_i8mm(const struct product* p) {
    int32_t sums[I8MM_ROWS][PANEL];
    for (int n = 0; n < p->w->n; n += PANEL) {
        const int8_t* w = (const int8_t*)p->w->panels + (ptrdiff_t)n * p->w->k;
        for (int r = 0; r < p->m; r += I8MM_ROWS) {
            int rows = p->m - r < I8MM_ROWS ? p->m - r : I8MM_ROWS;
            tile_i8mm((const uint8_t*)p->x + r * p->x_stride, p->x_stride, rows, w, p->w->k, sums);
            UNROLL for (int c = 0; c < PANEL; c += W) {
                struct column column = load_column(p->w, n + c);
                for (int i = 0; i < rows; i++) {
                    vf value = finish_i8(vi_load(sums[i] + c), column, p->rows[r + i]);
                    if (p->residual)
                        value += vf_load(p->residual + (r + i) * p->residual_stride + n + c);
                    vf_store(p->y + (r + i) * p->y_stride + n + c, value);
                }
            }
            activate(p->activation, true, p->y + r * p->y_stride + n, p->y_stride, rows, PANEL);
        }
    }
}
