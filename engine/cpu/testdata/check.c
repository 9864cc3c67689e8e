// check.c: the kernels of one variant against double arithmetic, over all shapes; a program of its own, so that it can
// be built with the sanitizers, and for another architecture. check_test.go builds and runs it.
//
//   check VARIANT    prints the largest error of each kernel beside what is allowed; exit status 1 where one is larger
#define _GNU_SOURCE // for what is beyond ISO C
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../dispatch.h"
#include "../kernels.h"

static int failures;

static void verdict(const char* what, double error, double allowed) {
    int bad = !(error <= allowed); // in this form, NaN fails
    printf("%s %-28s %.2e of %.0e\n", bad ? "FAIL" : "ok  ", what, error, allowed);
    failures += bad;
}

// Values without pattern in [-1, 1].
static float noise(void) {
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(state >> 40) / (1 << 23) - 1);
}

static void* fresh(size_t bytes) {
    void* p = NULL;
    if (posix_memalign(&p, 64, bytes + 64)) abort();
    memset(p, 0, bytes + 64);
    return p;
}

static double gelu(double x) {
    return 0.5 * x * erfc(-x / sqrt(2));
}

static double activated(enum activation kind, double x) {
    switch (kind) {
    case ACTIVATION_GELU:
        return gelu(x);
    case ACTIVATION_GELU_NEW:
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case ACTIVATION_RELU:
        return x > 0 ? x : 0;
    case ACTIVATION_TANH:
        return tanh(x);
    case ACTIVATION_SILU:
        return x / (1 + exp(-x));
    default:
        return x;
    }
}

static uint16_t bfloat16(float v) {
    uint32_t bits;
    memcpy(&bits, &v, 4);
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

// store_weight puts one weight where kernels.h says, in the elements of the product.
static void store_weight(
    const struct matmul* m,
    char* panels,
    int n,
    int k,
    int terms,
    float value,
    int byte
) {
    size_t at =
        ((size_t)(n / m->panel * (terms / m->group) + k / m->group) * m->panel + n % m->panel) *
            m->group +
        k % m->group;
    int16_t wide = byte;
    uint16_t half = bfloat16(value);
    if (m->weight_bytes == 4)
        memcpy(panels + 4 * at, &value, 4);
    else if (m->weight_bytes == 1)
        panels[at] = byte;
    else
        memcpy(panels + 2 * at, byte != INT16_MIN ? (void*)&wide : (void*)&half, 2);
}

// Products: m rows of a shape; with a residual, and every activation.
static double product_error(
    const struct matmul* matmul,
    int m,
    int n,
    int k,
    enum activation activation,
    int i8
) {
    size_t x_stride = k + 16, y_stride = n + 16;
    float* x = fresh(4 * x_stride * m);
    float *y = fresh(4 * y_stride * m), *bias = fresh(4 * n), *scales = fresh(4 * n);
    int32_t* sums = fresh(4 * n);
    float* w = fresh(4 * (size_t)n * k);
    char* panels = fresh((size_t)n * k * matmul->weight_bytes);
    for (int r = 0; r < m; r++)
        for (int i = 0; i < k; i++)
            x[r * x_stride + i] = noise();
    for (int c = 0; c < n; c++) {
        bias[c] = noise();
        scales[c] = (1 + noise() / 2) / 127;
        for (int i = 0; i < k; i++) {
            float v = noise();
            int byte = i8 ? (int)lrintf(v * 127) : INT16_MIN;
            if (i8) v = byte * scales[c], sums[c] += byte;
            w[c * (size_t)k + i] = v;
            store_weight(matmul, panels, c, i, k, v, byte);
        }
    }
    struct linear linear = {
        .panels = panels, .bias = bias, .scales = scales, .sums = sums, .n = n, .k = k
    };
    struct quantised* rows = fresh(sizeof *rows * m);
    size_t stride = k + 64 / matmul->input_bytes;
    void* narrow = fresh((m + SLACK_ROWS) * stride * matmul->input_bytes);
    matmul->narrow(x, x_stride, m, k, narrow, stride, rows);
    struct product p = {
        .w = &linear,
        .x = narrow,
        .x_stride = stride,
        .rows = rows,
        .m = m,
        .activation = activation,
        .y = y,
        .y_stride = y_stride
    };
    float* residual = fresh(4 * y_stride * m);
    for (size_t i = 0; i < y_stride * m; i++)
        residual[i] = noise();
    if (activation == ACTIVATION_NONE) p.residual = residual, p.residual_stride = y_stride;
    // What a matmul that halves writes, and narrows again, is bfloat16 here as well: all but what is added to a residual.
    uint16_t* half = fresh(2 * y_stride * m);
    if (matmul->halves && !p.residual) p.half = half, p.y = NULL;
    matmul->run(&p);
    for (size_t i = 0; p.half && i < y_stride * m; i++) {
        uint32_t bits = (uint32_t)half[i] << 16;
        memcpy(&y[i], &bits, 4);
    }
    double worst = 0;
    for (int r = 0; r < m; r++)
        for (int c = 0; c < n; c++) {
            double sum = bias[c];
            for (int i = 0; i < k; i++)
                sum += (double)x[r * x_stride + i] * w[c * (size_t)k + i];
            double want =
                activated(activation, sum) + (p.residual ? residual[r * y_stride + c] : 0);
            double error = fabs(y[r * y_stride + c] - want) / sqrt(k);
            if (!(error <= worst)) worst = error;
        }
    free(x), free(y), free(bias), free(scales), free(sums), free(w), free(panels), free(rows),
        free(narrow), free(residual), free(half);
    return worst;
}

static void check_products(const char* name, const struct matmul* matmul, double allowed, int i8) {
    static const int rows[] = {1, 2, 3, 6, 7, 13, 14, 16, 17, 33, 61};
    if (!matmul->run) return;
    double worst = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int n = 64; n <= 192; n += 128)
            for (int k = 64; k <= 192; k += 128)
                for (enum activation a = ACTIVATION_NONE; a <= ACTIVATION_RELU; a++)
                    worst = fmax(worst, product_error(matmul, rows[i], n, k, a, i8));
    // More terms than one round of a panel, more rows than wait for the next round.
    worst = fmax(worst, product_error(matmul, 150, 64, 448, ACTIVATION_NONE, i8));
    worst = fmax(worst, product_error(matmul, 29, 64, 640, ACTIVATION_GELU, i8));
    verdict(name, worst, allowed);
}

// bias is what the score of a query and a key loses: infinite for a key that the query does not see.
static double bias(int before, int after, double slope, int query, int key) {
    return query - key > before || key - query > after ? INFINITY : slope * abs(query - key);
}

static double attention_error(
    const struct matmul* matmul,
    int queries,
    int keys,
    int size,
    int before,
    int after,
    float slope
) {
    size_t stride = 3 * size + 16, out_stride = size + 16;
    float* qkv = fresh(4 * stride * (keys + 1));
    float* out = fresh(4 * out_stride * queries);
    double *scores = malloc(sizeof *scores * keys), worst = 0;
    for (int i = 0; i < keys; i++)
        for (int j = 0; j < 3 * size; j++)
            qkv[i * stride + j] = 2 * noise();
    // What is rounded to bfloat16 here is not an error of the kernel.
    uint16_t* half = fresh(2 * stride * (keys + 1));
    for (size_t i = 0; matmul->halves && i < stride * keys; i++) {
        half[i] = bfloat16(qkv[i]);
        uint32_t bits = (uint32_t)half[i] << 16;
        memcpy(&qkv[i], &bits, 4);
    }
    const float *q = qkv, *k = qkv + size, *v = qkv + 2 * size;
    struct attention a = {
        .q = matmul->halves ? (void*)half : q,
        .k = matmul->halves ? (void*)(half + size) : k,
        .v = matmul->halves ? (void*)(half + 2 * size) : v,
        .q_stride = stride,
        .kv_stride = stride,
        .queries = queries,
        .keys = keys,
        .size = size,
        .heads = 1,
        .scale = 1 / sqrtf(size),
        .out = out,
        .out_stride = out_stride,
        .scratch = fresh(matmul->attention_scratch(keys, size)),
        .before = before,
        .after = after,
        .slope = slope,
    };
    matmul->attend(&a);
    for (int i = 0; i < queries; i++) {
        double top = -1e9, sum = 0;
        for (int j = 0; j < keys; j++) {
            scores[j] = 0;
            for (int d = 0; d < size; d++)
                scores[j] += (double)q[i * stride + d] * k[j * stride + d] / sqrt(size);
            scores[j] -= bias(before, after, slope, i, j);
            top = fmax(top, scores[j]);
        }
        for (int j = 0; j < keys; j++)
            sum += scores[j] = exp(scores[j] - top);
        for (int d = 0; d < size; d++) {
            double want = 0;
            for (int j = 0; j < keys; j++)
                want += scores[j] / sum * v[j * stride + d];
            double error = fabs(out[i * out_stride + d] - want);
            if (!(error <= worst)) worst = error;
        }
    }
    free(qkv), free(half), free(out), free(scores), free(a.scratch);
    return worst;
}

static void check_attention(const char* name, const struct matmul* matmul, double allowed) {
    if (!matmul->run) return;
    static const int keys[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 200};
    static const int sizes[] = {4, 8, 16, 32, 48, 64, 128};
    const int all = ALL_KEYS;
    double worst = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
            worst = fmax(worst, attention_error(matmul, keys[i], keys[i], sizes[j], all, all, 0));
            worst = fmax(worst, attention_error(matmul, 1, keys[i], sizes[j], all, all, 0));
        }
    verdict(name, worst, allowed);
}

// check_parts has queries of a sequence attended to in one call, and each by itself with the keys that it sees: the results
// are the same bit for bit.
// Two heads of queries share the keys.
static int wrong_parts(
    const struct matmul* matmul,
    int length,
    int size,
    int before,
    int after,
    float slope
) {
    int wrong = 0, stride = 4 * size;
    float* qkv = fresh(4 * stride * (length + 1));
    float *whole = fresh(4 * 2 * size * length), *part = fresh(4 * size);
    for (int i = 0; i < stride * length; i++)
        qkv[i] = 2 * noise();
    struct attention a = {
        .q = qkv,
        .k = qkv + 2 * size,
        .v = qkv + 3 * size,
        .q_stride = stride,
        .kv_stride = stride,
        .queries = length,
        .keys = length,
        .size = size,
        .heads = 2,
        .scale = 1 / sqrtf(size),
        .out = whole,
        .out_stride = 2 * size,
        .scratch = fresh(matmul->attention_scratch(length, size)),
        .before = before,
        .after = after,
        .slope = slope,
    };
    matmul->attend(&a);
    for (int i = 0; i < 2 * length; i++) {
        const int at = i / 2, head = i % 2;
        int first = at > before ? (at - before) / PAD * PAD : 0;
        int last = at + after + 1 < length ? at + after + 1 : length;
        struct attention one = a;
        one.q = qkv + at * stride + head * size;
        one.k = qkv + first * stride + 2 * size;
        one.v = qkv + first * stride + 3 * size;
        one.queries = one.heads = 1;
        one.keys = last - first;
        one.offset = at - first;
        one.out = part;
        matmul->attend(&one);
        wrong += memcmp(part, whole + i * size, 4 * size) != 0;
    }
    free(qkv), free(whole), free(part), free(a.scratch);
    return wrong;
}

static void check_windows(const struct matmul* matmul) {
    static const int lengths[] = {1, 2, 15, 16, 17, 33, 64, 65, 150};
    static const int windows[] = {1, 2, 7, 16, 31, 64, 500};
    double worst = 0;
    int wrong = 0;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (size_t j = 0; j < sizeof windows / sizeof *windows; j++)
            for (int size = 4; size <= 128; size += 62) {
                const int length = lengths[i], window = windows[j];
                const int sides[][2] = {
                    {window, window}, {ALL_KEYS, ALL_KEYS}, {ALL_KEYS, 0}, {window, 0}
                };
                for (int side = 0; side < 4; side++) {
                    const int before = sides[side][0], after = sides[side][1];
                    for (int slope = 0; slope < 2; slope++)
                        worst = fmax(
                            worst, attention_error(
                                       matmul, length, length, size, before, after, 0.3f * slope
                                   )
                        );
                    wrong += wrong_parts(matmul, length, size, before, after, 0.1f);
                }
            }
    verdict("attention, windows and slopes", worst, 3e-6);
    verdict("attention, windows in parts", wrong, 0);
}

static void check_rotate(const struct kernels* kernels) {
    double worst = 0;
    for (int size = 2; size <= 80; size += 2) {
        enum { ROWS = 3, HEADS = 2, POSITIONS = 9 };
        const int half = size / 2, stride = HEADS * size + 5;
        float *x = fresh(4 * stride * ROWS), *before = fresh(4 * stride * ROWS);
        float* table = fresh(4 * size * POSITIONS);
        const int32_t positions[ROWS] = {4, 0, 8};
        for (int i = 0; i < stride * ROWS; i++)
            x[i] = before[i] = noise();
        for (int p = 0; p < POSITIONS; p++)
            for (int i = 0; i < half; i++) {
                table[p * size + i] = cos(p * (i + 1.0));
                table[p * size + half + i] = sin(p * (i + 1.0));
            }
        struct rotate a = {x, stride, ROWS, HEADS, size, positions, table};
        kernels->rotate(&a);
        for (int r = 0; r < ROWS; r++)
            for (int i = 0; i < stride; i++) {
                const float* row = before + r * stride;
                double want = row[i];
                if (i < HEADS * size) {
                    const int at = i % size, first = at < half;
                    const double angle = positions[r] * (at % half + 1.0);
                    want =
                        row[i] * cos(angle) + (first ? -row[i + half] : row[i - half]) * sin(angle);
                }
                worst = fmax(worst, fabs(x[r * stride + i] - want));
            }
        free(x), free(before), free(table);
    }
    verdict("rotate", worst, 4e-7);
}

static void check_gate(const struct kernels* kernels) {
    double worst[2] = {0, 0};
    for (enum activation kind = ACTIVATION_GELU; kind <= ACTIVATION_SILU; kind++)
        for (int f = PAD; f <= 3 * PAD; f += PAD)
            for (int coarse = 0; coarse < 2; coarse++) {
                enum { ROWS = 3 };
                const int stride = 2 * f + 16;
                float *x = fresh(4 * stride * ROWS), *before = fresh(4 * stride * ROWS);
                for (int i = 0; i < stride * ROWS; i++)
                    x[i] = before[i] = 4 * noise();
                struct gate a = {x, stride, ROWS, f, kind, coarse};
                kernels->gate(&a);
                for (int r = 0; r < ROWS; r++)
                    for (int i = 0; i < stride; i++) {
                        const float* row = before + r * stride;
                        double want = i < f ? activated(kind, row[i]) * row[f + i] : row[i];
                        worst[coarse] = fmax(worst[coarse], fabs(x[r * stride + i] - want));
                    }
                free(x), free(before);
            }
    verdict("gate", worst[0], 5e-6);
    // GELU's coarse error is below 1e-4 max(1, |x|), beside values of up to 4.
    verdict("gate, coarse", worst[1], 2e-3);
}

static double normalise_error(const struct kernels* kernels, bool rms) {
    double worst = 0;
    for (int h = 1; h <= 400; h += h < 70 ? 1 : 33) {
        int padded = round_up(h, PAD), m = 3, stride = padded + 16;
        float *x = fresh(4 * stride * m), *y = fresh(4 * stride * m), *gamma = fresh(4 * padded),
              *beta = fresh(4 * padded);
        for (int i = 0; i < h; i++) {
            gamma[i] = noise(), beta[i] = noise();
            for (int r = 0; r < m; r++)
                x[r * stride + i] = y[r * stride + i] = noise() + 1;
        }
        struct normalise a = {
            .x = h % 2 ? x : y,
            .y = y,
            .stride = stride,
            .m = m,
            .h = h,
            .gamma = gamma,
            .beta = beta,
            .epsilon = 1e-3f,
            .rms = rms,
        };
        kernels->normalise(&a);
        for (int r = 0; r < m; r++) {
            double mean = 0, squares = 0;
            for (int i = 0; i < h && !rms; i++)
                mean += x[r * stride + i] / (double)h;
            for (int i = 0; i < h; i++)
                squares += (x[r * stride + i] - mean) * (x[r * stride + i] - mean);
            for (int i = 0; i < padded; i++) {
                double want =
                    i < h
                        ? (x[r * stride + i] - mean) / sqrt(squares / h + 1e-3) * gamma[i] + beta[i]
                        : 0;
                double error = fabs(y[r * stride + i] - want);
                if (!(error <= worst)) worst = error;
            }
        }
        free(x), free(y), free(gamma), free(beta);
    }
    return worst;
}

// Norms of heads give the same bits as norms of rows that have one head each, and leave what lies behind the heads.
static int wrong_heads(const struct kernels* kernels, bool rms) {
    enum { ROWS = 3, HEADS = 2 };
    int wrong = 0;
    for (int size = 2; size <= 192; size += size < 66 ? 2 : 42) {
        const int padded = round_up(size, PAD), stride = HEADS * size + 5;
        float *x = fresh(4 * stride * ROWS), *one = fresh(4 * padded * ROWS * HEADS);
        float *gamma = fresh(4 * padded), *beta = fresh(4 * padded);
        for (int i = 0; i < size; i++)
            gamma[i] = noise(), beta[i] = noise();
        for (int i = 0; i < stride * ROWS; i++)
            x[i] = noise();
        for (int i = 0; i < ROWS * HEADS; i++)
            memcpy(one + i * padded, x + i / HEADS * stride + i % HEADS * size, 4 * size);
        struct normalise a = {x, x, stride, ROWS, size, gamma, beta, 1e-3f, rms};
        struct normalise b = {one, one, padded, ROWS * HEADS, size, gamma, beta, 1e-3f, rms};
        float behind[ROWS][5];
        for (int r = 0; r < ROWS; r++)
            memcpy(behind[r], x + r * stride + HEADS * size, sizeof behind[r]);
        kernels->normalise_heads(&a, HEADS);
        kernels->normalise(&b);
        for (int i = 0; i < ROWS * HEADS; i++)
            wrong +=
                memcmp(one + i * padded, x + i / HEADS * stride + i % HEADS * size, 4 * size) != 0;
        for (int r = 0; r < ROWS; r++)
            wrong += memcmp(behind[r], x + r * stride + HEADS * size, sizeof behind[r]) != 0;
        free(x), free(one), free(gamma), free(beta);
    }
    return wrong;
}

static void check_normalise(const struct kernels* kernels) {
    verdict("layer norm", normalise_error(kernels, false), 5e-6);
    verdict("RMS norm", normalise_error(kernels, true), 5e-6);
    verdict("norms of heads", wrong_heads(kernels, false) + wrong_heads(kernels, true), 0);
}

// Every binary16, by its definition (IEEE 754, 3.4), in rows of each width up to 40; nothing is written behind a row.
static void check_halves(const struct kernels* kernels) {
    int wrong = 0;
    for (int first = 0, width = 1; first < 1 << 16; first += width, width = width % 40 + 1) {
        uint16_t x[40];
        float y[41];
        y[width] = 7;
        for (int i = 0; i < width; i++)
            x[i] = first + i;
        kernels->widen_halves(x, y, width);
        wrong += y[width] != 7;
        for (int i = 0; i < width; i++) {
            const int exponent = x[i] >> 10 & 31, mantissa = x[i] & 1023;
            double want = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
            if (exponent == 31) want = mantissa ? NAN : INFINITY;
            wrong += isnan(want) ? !isnan(y[i]) : fabs(y[i]) != want;
            wrong += !signbit(y[i]) != !(x[i] >> 15);
        }
    }
    verdict("halves", wrong, 0);
}

// Functions of one value, over a dense grid: an identity product, whose activation is what is looked at.
static void check_function(const struct kernels* kernels, const char* name, enum activation kind) {
    enum { N = 64, STEPS = 2000 };
    float *panels = fresh(4 * N * N), *bias = fresh(4 * N), x[N] = {0}, y[N];
    double worst = 0;
    for (int i = 0; i < N; i++)
        store_weight(&kernels->f32, (char*)panels, i, i, N, 1, INT16_MIN);
    struct linear w = {.panels = panels, .bias = bias, .n = N, .k = N};
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < N; i++)
            x[i] = -20 + 40.0f * (step * N + i) / (STEPS * N);
        struct product p = {
            .w = &w, .x = x, .x_stride = N, .m = 1, .activation = kind, .y = y, .y_stride = N
        };
        kernels->run_rows(&p);
        for (int i = 0; i < N; i++)
            worst = fmax(worst, fabs(y[i] - activated(kind, x[i])) / fmax(1, fabs(x[i])));
    }
    verdict(name, worst, 3e-7);
    free(panels), free(bias);
}

#include "finite.h"
#include "relative.h"

int main(int argc, char** argv) {
    const struct kernels* kernels = argc == 2 ? find_kernels(argv[1]) : NULL;
    if (!kernels) {
        fprintf(stderr, "usage: check VARIANT, of this architecture\n");
        return 2;
    }
    if (strcmp(argv[1], "amx") == 0 && !request_tiles()) return 77;
    if (kernels->enter) kernels->enter();
    // Rounding alone: √k terms of 2^-24 beside partial sums of up to 20, over √k; seen at most 1.5e-6.
    check_products("product f32", &kernels->f32, 3e-6, 0);
    // Inputs in 255 steps over [-1, 1]: an error of 1/510 in each of k terms, beside weights of up to 1.5.
    check_products("product i8", &kernels->i8, 1.2e-2, 1);
    // Both factors have eight bits: a relative error of 2^-9 each.
    check_products("product bf16", &kernels->bf16, 1.2e-2, 0);
    // A score is a sum of up to 128 products of up to 4, over √128: rounding alone moves it by some 2^-24 of it.
    check_attention("attention f32", &kernels->f32, 3e-6);
    // Values are up to 2. Probabilities have eight bits in bfloat16. In attention_i16.h they are good to 8e-5 of each and to
    // 2^-16 of their sum, up to 200 times, which adds up as noise does: 4 · √200 · 2 · 2^-16 / √3.
    const bool floats = kernels->i8.attend == kernels->f32.attend;
    check_attention("attention i8", &kernels->i8, kernels->i8.halves ? 8e-3 : floats ? 3e-6 : 1e-3);
    check_attention("attention bf16", &kernels->bf16, 8e-3);
    check_normalise(kernels);
    check_halves(kernels);
    check_function(kernels, "gelu", ACTIVATION_GELU);
    check_function(kernels, "gelu_new", ACTIVATION_GELU_NEW);
    check_function(kernels, "tanh", ACTIVATION_TANH);
    check_function(kernels, "silu", ACTIVATION_SILU);
    check_rotate(kernels);
    check_gate(kernels);
    check_windows(&kernels->f32);
    check_relative(kernels);
    check_finite(kernels);
    if (kernels->leave) kernels->leave();
    return failures != 0;
}
