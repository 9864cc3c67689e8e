// rows.h: operations on rows, one by one.

enum { NORMED = 4 }; // rows whose norms are computed at a time

// act is an activation; a coarse one is for values that are rounded to eight bits next.
INLINE vf act(enum activation kind, const bool coarse, vf x) {
    switch (kind) {
    case ACTIVATION_GELU:
        if (coarse) return vf_gelu_coarse(x);
        vf_gelu_each(&x, 1);
        return x;
    case ACTIVATION_GELU_NEW:
        return vf_gelu_new(x);
    case ACTIVATION_RELU:
        return vf_or_nan(vf_max(x, vf_set(0)), x);
    case ACTIVATION_TANH:
        return vf_tanh(x);
    case ACTIVATION_SILU:
        return vf_silu(x);
    default:
        return x;
    }
}

// WITH_ACTIVATION runs a statement with ACTIVATION as a constant, so that the choice is made once and not for each value.
#define WITH_ACTIVATION_AS(kind, statement)                                                        \
    case kind: {                                                                                   \
        const enum activation ACTIVATION = kind;                                                   \
        statement;                                                                                 \
        break;                                                                                     \
    }
#define WITH_ACTIVATION(kind, statement)                                                           \
    switch (kind) {                                                                                \
        WITH_ACTIVATION_AS(ACTIVATION_NONE, statement)                                             \
        WITH_ACTIVATION_AS(ACTIVATION_GELU, statement)                                             \
        WITH_ACTIVATION_AS(ACTIVATION_GELU_NEW, statement)                                         \
        WITH_ACTIVATION_AS(ACTIVATION_RELU, statement)                                             \
        WITH_ACTIVATION_AS(ACTIVATION_TANH, statement)                                             \
        WITH_ACTIVATION_AS(ACTIVATION_SILU, statement)                                             \
    }

INLINE void activate_as(
    const enum activation kind,
    const bool coarse,
    float* x,
    ptrdiff_t stride,
    int m,
    const int n
) {
    if (kind == ACTIVATION_NONE) return;
    int r = 0;
    // Two rows of a panel of two vectors at a time.
    if (kind == ACTIVATION_GELU && !coarse && n == EACH / 2 * W)
        for (; r + 2 <= m; r += 2, x += 2 * stride) {
            vf pair[EACH];
            UNROLL for (int i = 0; i < EACH; i++) pair[i] = vf_load(x + i % 2 * stride + i / 2 * W);
            vf_gelu_each(pair, EACH);
            UNROLL for (int i = 0; i < EACH; i++) vf_store(x + i % 2 * stride + i / 2 * W, pair[i]);
        }
    for (; r < m; r++, x += stride)
        UNROLL for (int i = 0; i < n; i += W) vf_store(x + i, act(kind, coarse, vf_load(x + i)));
}

// activate is applied to a tile of a product that is still in the first cache.
INLINE void activate(
    enum activation kind,
    const bool coarse,
    float* x,
    ptrdiff_t stride,
    int m,
    const int n
){WITH_ACTIVATION(kind, activate_as(ACTIVATION, coarse, x, stride, m, n))}

// normalise_some is normalise_rows for at most NORMED rows from number `first` on. A sum's additions wait for each other, so that
// several rows take little longer than one. It fetches the rows behind them.
INLINE void normalise_some(const bool rms, const int rows, const struct normalise* a, int first) {
    const int padded = round_up(a->h, PAD), whole = a->h - a->h % W;
    const float* x = a->x + first * a->stride;
    vf means[NORMED], inverses[NORMED];
    for (int r = 0; r < rows; r++) {
        const float* row = x + r * a->stride;
        vf sums[2] = {{0}, {0}};
        // The padding is zero, so that it adds nothing to the mean.
        for (int i = 0; i < padded && !rms; i += 2 * W) {
            sums[0] += vf_load(row + i);
            sums[1] += vf_load(row + i + W);
        }
        means[r] = vf_set(vf_sum(sums[0] + sums[1]) / a->h);
    }
    for (int r = 0; r < rows; r++) {
        const float* row = x + r * a->stride;
        vf squares[2] = {{0}, {0}}, mean = means[r];
        for (int i = 0; i + W <= whole; i += W) {
            vf d = vf_load(row + i) - mean;
            squares[i / W % 2] = vf_fma(d, d, squares[i / W % 2]);
        }
        vf d = vf_first(vf_load(row + whole) - mean, a->h - whole, 0);
        squares[0] = vf_fma(d, d, squares[0]);
        float variance = vf_sum(squares[0] + squares[1]) / a->h;
        // A variance that has overflowed gives NaN: its inverse root alone, 0, would give beta.
        inverses[r] =
            vf_or_nan(vf_set(1 / __builtin_sqrtf(variance + a->epsilon)), vf_set(variance));
    }
    for (int i = 0; i < padded; i += W) {
        vf gamma = vf_load(a->gamma + i), beta = vf_load(a->beta + i);
        for (int r = 0; r < rows; r++) {
            __builtin_prefetch(x + (r + rows) * a->stride + i, 0, 3);
            vf y = (vf_load(x + r * a->stride + i) - means[r]) * inverses[r];
            vf_store(a->y + (first + r) * a->stride + i, vf_fma(y, gamma, beta));
        }
    }
}

INLINE void normalise_rows_as(const bool rms, const struct normalise* a) {
    int r = 0;
    for (; r + NORMED <= a->m; r += NORMED)
        normalise_some(rms, NORMED, a, r);
    for (; r < a->m; r++)
        normalise_some(rms, 1, a, r);
}

static void normalise_rows(const struct normalise* a) {
    if (a->rms)
        normalise_rows_as(true, a);
    else
        normalise_rows_as(false, a);
}

static void rotate_rows(const struct rotate* a) {
    const int half = a->size / 2, whole = half - half % W;
    for (int r = 0; r < a->m; r++) {
        const float* cosines = a->table + (ptrdiff_t)a->positions[r] * a->size;
        const float* sines = cosines + half;
        for (int head = 0; head < a->heads; head++) {
            float* x = a->x + r * a->stride + head * a->size;
            float* y = x + half;
            for (int i = 0; i < whole; i += W) {
                vf p = vf_load(x + i), q = vf_load(y + i);
                vf cosine = vf_load(cosines + i), sine = vf_load(sines + i);
                vf_store(x + i, p * cosine - q * sine);
                vf_store(y + i, q * cosine + p * sine);
            }
            for (int i = whole; i < half; i++) {
                float p = x[i], q = y[i];
                x[i] = p * cosines[i] - q * sines[i];
                y[i] = q * cosines[i] + p * sines[i];
            }
        }
    }
}

INLINE void gate_as(const enum activation kind, const bool coarse, float* x, int f) {
    for (int i = 0; i < f; i += EACH * W) {
        vf gates[EACH];
        UNROLL for (int j = 0; j < EACH; j++) gates[j] = vf_load(x + i + j * W);
        if (kind == ACTIVATION_GELU && !coarse)
            vf_gelu_each(gates, EACH);
        else
            UNROLL for (int j = 0; j < EACH; j++) gates[j] = act(kind, coarse, gates[j]);
        UNROLL for (int j = 0; j < EACH; j++)
            vf_store(x + i + j * W, gates[j] * vf_load(x + f + i + j * W));
    }
}

static void gate_rows(const struct gate* a) {
    for (int r = 0; r < a->m; r++) {
        float* x = a->x + r * a->stride;
        if (a->coarse) {
            WITH_ACTIVATION(a->activation, gate_as(ACTIVATION, true, x, a->f))
        } else {
            WITH_ACTIVATION(a->activation, gate_as(ACTIVATION, false, x, a->f))
        }
    }
}

// vf_of_halves widens binary16: the exponent is rebased from 15 to 127, once more for infinities and NaNs. A subnormal is the
// mantissa of a small normal number, less that number.
INLINE vf vf_of_halves(vu16 v) {
    const vi rebase = vi_set((127 - 15) << 23), one = vi_set(113 << 23);
    vi bits = vi_widened(v), exponent = bits & 0x7c00;
    vi wide = ((bits & 0x7fff) << 13) + rebase + (rebase & (exponent == 0x7c00));
    vf subnormal = (vf)(((bits & 0x03ff) << 13) + one) - (vf)one;
    return (vf)((vi)vf_select(exponent == 0, subnormal, (vf)wide) | (bits & 0x8000) << 16);
}

static void widen_halves(const uint16_t* x, float* y, int n) {
    int i = 0;
    vu16 v = {0};
    for (; i + W <= n; i += W) {
        memcpy(&v, x + i, sizeof v);
        vf_store(y + i, vf_of_halves(v));
    }
    for (int j = i; j < n; j++)
        v[j - i] = x[j];
    vf rest = vf_of_halves(v);
    for (int j = i; j < n; j++)
        y[j] = rest[j - i];
}
