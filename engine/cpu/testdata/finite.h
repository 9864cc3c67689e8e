// finite.h: one NaN, infinity or overflow among the operands of each kernel. It must not become a number in the results
// that it is part of, and must not change the others.

// A NaN as arithmetic makes it, and one of a file that is all ones.
static float bad_value(int i) {
    static const uint32_t bits[] = {0x7fc00000, 0xffffffff, 0x7f800000, 0xff800000};
    float v;
    memcpy(&v, &bits[i], 4);
    return v;
}
enum { BAD_VALUES = 4 };

static int finite_bits(float v) {
    uint32_t bits;
    memcpy(&bits, &v, 4);
    return (bits & 0x7f800000) != 0x7f800000;
}

// wrong counts the values that are finite among those that are lost, or other than before among those that are not.
static int wrong(const float* got, const float* before, int n, int lost_from, int lost_to) {
    int count = 0;
    for (int i = 0; i < n; i++)
        count += i >= lost_from && i < lost_to ? finite_bits(got[i]) : got[i] != before[i];
    return count;
}

enum { FM = 5, FN = 64, FK = 64, FSTRIDE = 80 }; // rows of 64 and their cache line

// finite_product computes y [FM, FN] of x [FM, FK] by fixed weights, and by a bias.
static void finite_product(
    const struct matmul* matmul,
    enum activation activation,
    int i8,
    const float* x,
    const float* bias,
    float* y
) {
    char* panels = fresh(4 * FN * FK);
    float* scales = fresh(4 * FN);
    int32_t* sums = fresh(4 * FN);
    for (int c = 0; c < FN; c++)
        for (int k = 0; k < FK; k++) {
            int byte = (c * 7 + k * 5) % 31 - 15;
            scales[c] = 1.0f / 64, sums[c] += byte;
            store_weight(matmul, panels, c, k, FK, byte / 64.0f, i8 ? byte : INT16_MIN);
        }
    struct linear w = {
        .panels = panels, .bias = bias, .scales = scales, .sums = sums, .n = FN, .k = FK
    };
    float* results = fresh(4 * FM * FSTRIDE);
    uint16_t* half = fresh(2 * FM * FSTRIDE);
    struct quantised* rows = fresh(sizeof *rows * FM);
    void* narrow = fresh(4 * (FM + SLACK_ROWS) * (FK + 64));
    struct product p = {.w = &w, .x = narrow, .m = FM, .rows = rows};
    p.x_stride = FK + 64 / matmul->input_bytes;
    p.activation = activation, p.y_stride = FSTRIDE;
    matmul->narrow(x, FSTRIDE, FM, FK, narrow, p.x_stride, rows);
    if (matmul->halves)
        p.half = half;
    else
        p.y = results;
    matmul->run(&p);
    for (int r = 0; r < FM; r++)
        for (int c = 0; c < FN; c++) {
            uint32_t bits = (uint32_t)half[r * FSTRIDE + c] << 16;
            if (matmul->halves)
                memcpy(&y[r * FN + c], &bits, 4);
            else
                y[r * FN + c] = results[r * FSTRIDE + c];
        }
    free(panels), free(scales), free(sums), free(results), free(half), free(rows), free(narrow);
}

static void check_finite_products(const char* name, const struct matmul* matmul, int i8) {
    if (!matmul->run) return;
    float *x = fresh(4 * FM * FSTRIDE), *bias = fresh(4 * FN), before[FM * FN], y[FM * FN];
    int count = 0;
    for (int i = 0; i < FM * FSTRIDE; i++)
        x[i] = i % FSTRIDE < FK ? noise() : 0;
    for (int i = 0; i < FN; i++)
        bias[i] = noise();
    for (enum activation a = ACTIVATION_NONE; a <= ACTIVATION_SILU; a++) {
        finite_product(matmul, a, i8, x, bias, before);
        for (int i = 0; i < BAD_VALUES; i++) {
            float *at = &x[2 * FSTRIDE + 37], kept = *at;
            *at = bad_value(i);
            finite_product(matmul, a, i8, x, bias, y);
            count += wrong(y, before, FM * FN, 2 * FN, 3 * FN);
            *at = kept, at = &bias[11], kept = *at;
            *at = bad_value(i);
            finite_product(matmul, a, i8, x, bias, y);
            for (int r = 0; r < FM; r++)
                count += wrong(y + r * FN, before + r * FN, FN, 11, 12);
            *at = kept;
        }
    }
    verdict(name, count, 0);
    free(x), free(bias);
}

enum { FKEYS = 37, FSIZE = 8 };

// finite_attention computes out [FKEYS, FSIZE] of q, k and v, side by side in rows of 3 FSIZE.
static void finite_attention(const struct matmul* matmul, const float* qkv, float* out) {
    uint16_t* half = fresh(2 * 3 * FSIZE * (FKEYS + 1));
    for (int i = 0; i < 3 * FSIZE * FKEYS; i++) {
        uint32_t bits;
        memcpy(&bits, &qkv[i], 4);
        half[i] = finite_bits(qkv[i]) ? bfloat16(qkv[i]) : bits >> 16;
    }
    const char* from = matmul->halves ? (const char*)half : (const char*)qkv;
    const int bytes = matmul->halves ? 2 : 4;
    struct attention a = {
        .q = from,
        .k = from + FSIZE * bytes,
        .v = from + 2 * FSIZE * bytes,
        .q_stride = 3 * FSIZE,
        .kv_stride = 3 * FSIZE,
        .queries = FKEYS,
        .heads = 1,
        .before = ALL_KEYS,
        .after = ALL_KEYS,
        .keys = FKEYS,
        .size = FSIZE,
        .scale = 0.5f,
        .out = out,
        .out_stride = FSIZE,
        .scratch = fresh(matmul->attention_scratch(FKEYS, FSIZE)),
    };
    matmul->attend(&a);
    free(half), free(a.scratch);
}

// Where attention scales rows by their norms, a norm whose square overflows is lost to all queries.
static void check_finite_attention(const char* name, const struct matmul* matmul, bool norms) {
    if (!matmul->run) return;
    enum { ROW = 3 * FSIZE, ALL = FKEYS * FSIZE };
    float *qkv = fresh(4 * ROW * (FKEYS + 1)), *before = fresh(4 * ALL), *out = fresh(4 * ALL);
    int count = 0;
    for (int i = 0; i < ROW * FKEYS; i++)
        qkv[i] = noise();
    finite_attention(matmul, qkv, before);
    // Places in the vectors of all widths, and behind the last whole one.
    for (int key = 0; key < FKEYS; key += 9)
        for (int i = 0; i < BAD_VALUES; i++) {
            float *q = &qkv[key * ROW + 3], *k = q + FSIZE, *v = k + FSIZE, kept = *q;
            *q = bad_value(i);
            finite_attention(matmul, qkv, out);
            count += wrong(out, before, ALL, key * FSIZE, (key + 1) * FSIZE);
            *q = kept, kept = *k, *k = bad_value(i);
            finite_attention(matmul, qkv, out);
            count += wrong(out, before, ALL, 0, ALL);
            *k = kept, kept = *v, *v = bad_value(i);
            finite_attention(matmul, qkv, out);
            for (int r = 0; r < FKEYS; r++)
                count += wrong(out + r * FSIZE, before + r * FSIZE, FSIZE, 3, 4);
            *v = kept;
        }
    // One score of the first query below the least float; no other query sees that column of the key, but for its norm.
    for (int key = 0; key < FKEYS; key += 9) {
        for (int r = 0; r < FKEYS; r++)
            qkv[r * ROW] = r == 0 ? 1e30f : 0, qkv[r * ROW + FSIZE] = r == key ? -1e30f : 0;
        finite_attention(matmul, qkv, out);
        count += wrong(out, out, FSIZE, 0, FSIZE);
        for (int i = FSIZE; i < ALL; i++)
            count += finite_bits(out[i]) == norms;
    }
    verdict(name, count, 0);
    free(qkv), free(before), free(out);
}

static void check_finite_norm(const struct kernels* kernels) {
    enum { H = 70, STRIDE = 128 + 16 };
    float *x = fresh(4 * 3 * STRIDE), *gamma = fresh(4 * 128), *beta = fresh(4 * 128);
    int count = 0;
    for (int i = 0; i < H; i++)
        gamma[i] = 1, beta[i] = 1;
    for (int i = 0; i <= BAD_VALUES; i++)
        for (int at = 0; at < H; at += 23) {
            for (int j = 0; j < 3 * STRIDE; j++)
                x[j] = j % STRIDE < H ? noise() : 0;
            x[STRIDE + at] = i < BAD_VALUES ? bad_value(i) : 1e25f; // whose square is too large
            struct normalise a = {
                .x = x,
                .y = x,
                .stride = STRIDE,
                .m = 3,
                .h = H,
                .gamma = gamma,
                .beta = beta,
                .rms = at % 2,
            };
            kernels->normalise(&a);
            for (int j = 0; j < H; j++)
                count += !finite_bits(x[j]) + finite_bits(x[STRIDE + j]) +
                         !finite_bits(x[2 * STRIDE + j]);
        }
    verdict("layer norm, not finite", count, 0);
    free(x), free(gamma), free(beta);
}

static void check_finite(const struct kernels* kernels) {
    check_finite_products("product f32, not finite", &kernels->f32, 0);
    check_finite_products("product i8, not finite", &kernels->i8, 1);
    check_finite_products("product bf16, not finite", &kernels->bf16, 0);
    const bool norms =
        kernels->i8.run && !kernels->i8.halves && kernels->i8.attend != kernels->f32.attend;
    check_finite_attention("attention f32, not finite", &kernels->f32, false);
    check_finite_attention("attention i8, not finite", &kernels->i8, norms);
    check_finite_attention("attention bf16, not finite", &kernels->bf16, false);
    check_finite_norm(kernels);
}
