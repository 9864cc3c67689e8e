// relative.h: disentangled attention against double arithmetic; part of check.c.

// A case of attention by distances: how many rows the tables have, and up to which distance each has its own.
struct relative_case {
    int length, size, span, whole;
    bool keys, queries;
};

enum { RELATIVE_HEADS = 2, RELATIVE_HEAD = 1 }; // that there are, and the one that is looked at

// tables_of makes tables [A][D][stride], and the rows of all distances below length. Behind whole, three distances share a
// row, until the last row.
static struct relative tables_of(const struct relative_case* c) {
    const int columns = 2 * c->span, farthest = c->length - 1;
    struct relative r = {
        .stride = columns + 16, .span = c->span, .whole = c->whole, .farthest = farthest
    };
    const size_t values = (size_t)RELATIVE_HEADS * c->size * r.stride;
    float* tables[2];
    for (int t = 0; t < 2; t++) {
        tables[t] = fresh(4 * (values + SLACK_COLUMNS));
        for (size_t i = 0; i < values; i++)
            tables[t][i] = noise();
    }
    int32_t* rows = fresh(4 * (2 * farthest + 1));
    for (int d = 0; d <= farthest; d++) {
        const int bucket = d <= c->whole ? d : c->whole + (d - c->whole + 2) / 3;
        rows[farthest + d] = c->span + (bucket < c->span ? bucket : c->span - 1);
        rows[farthest - d] = c->span - (bucket < c->span ? bucket : c->span);
    }
    r.keys = tables[0], r.queries = tables[1], r.rows = rows;
    return r;
}

// run_relative has some queries of a sequence attended to.
static void run_relative(
    const struct kernels* kernels,
    const struct relative_case* c,
    const struct relative* tables,
    const float* qkv,
    int first,
    int queries,
    float* out,
    void* scratch
) {
    struct relative r = *tables;
    if (!c->keys) r.keys = NULL;
    if (!c->queries) r.queries = NULL;
    r.terms = c->keys + c->queries;
    const int stride = 3 * c->size;
    struct attention a = {
        .q = qkv + first * stride,
        .k = qkv + c->size,
        .v = qkv + 2 * c->size,
        .q_stride = stride,
        .kv_stride = stride,
        .queries = queries,
        .keys = c->length,
        .size = c->size,
        .scale = 1 / sqrtf(c->size * (1 + r.terms)),
        .out = out,
        .out_stride = c->size,
        .scratch = scratch,
        .offset = first,
    };
    kernels->attend_relative(&a, &r, RELATIVE_HEAD);
}

// wanted computes one query's row in double.
static void wanted(
    const struct relative_case* c,
    const struct relative* r,
    const float* qkv,
    int query,
    double* scores,
    double* row
) {
    const int stride = 3 * c->size;
    const ptrdiff_t head = (ptrdiff_t)RELATIVE_HEAD * c->size * r->stride;
    const double scale = 1 / sqrt(c->size * (1.0 + c->keys + c->queries));
    double top = -1e9, sum = 0;
    for (int j = 0; j < c->length; j++) {
        const float *q = qkv + query * stride, *k = qkv + j * stride + c->size;
        const int column = r->rows[r->farthest + query - j], last = 2 * c->span - 1;
        scores[j] = 0;
        for (int d = 0; d < c->size; d++) {
            const ptrdiff_t at = head + d * r->stride;
            scores[j] += scale * q[d] * k[d];
            if (c->keys) scores[j] += scale * q[d] * r->keys[at + last - column];
            if (c->queries) scores[j] += scale * k[d] * r->queries[at + column];
        }
        top = fmax(top, scores[j]);
    }
    for (int j = 0; j < c->length; j++)
        sum += scores[j] = exp(scores[j] - top);
    for (int d = 0; d < c->size; d++) {
        row[d] = 0;
        for (int j = 0; j < c->length; j++)
            row[d] += scores[j] / sum * qkv[j * stride + 2 * c->size + d];
    }
}

// relative_error is the largest error of a case; parts counts the queries whose results are not the same bit for bit in
// parts of the sequence.
static double relative_error(
    const struct kernels* kernels,
    const struct relative_case* c,
    int* parts
) {
    const struct relative tables = tables_of(c);
    const int length = c->length, size = c->size, stride = 3 * size;
    float* qkv = fresh(4 * stride * (length + 1));
    float *out = fresh(4 * size * length), *part = fresh(4 * size * length);
    void* scratch = fresh(kernels->relative_scratch(length, size));
    double *scores = malloc(sizeof *scores * length), *row = malloc(sizeof *row * size), worst = 0;
    for (int i = 0; i < stride * length; i++)
        qkv[i] = 2 * noise();
    run_relative(kernels, c, &tables, qkv, 0, length, out, scratch);
    for (int i = 0; i < length; i++) {
        wanted(c, &tables, qkv, i, scores, row);
        for (int d = 0; d < size; d++) {
            double error = fabs(out[i * size + d] - row[d]);
            if (!(error <= worst)) worst = error;
        }
    }
    for (int first = 0, n = 1; first < length; first += n, n = n * 2 + 1) {
        const int queries = length - first < n ? length - first : n;
        run_relative(kernels, c, &tables, qkv, first, queries, part, scratch);
        *parts += memcmp(part, out + first * size, 4 * queries * size) != 0;
    }
    free((void*)tables.keys), free((void*)tables.queries), free((void*)tables.rows), free(qkv);
    free(out), free(part), free(scratch), free(scores), free(row);
    return worst;
}

// finite_relative puts one bad value into a table: it must reach the results of the queries that have its row, and no others.
static int finite_relative(const struct kernels* kernels) {
    enum { LENGTH = 40, SIZE = 8 };
    const struct relative_case c = {LENGTH, SIZE, 9, 3, true, true};
    const struct relative tables = tables_of(&c);
    float* qkv = fresh(4 * 3 * SIZE * (LENGTH + 1));
    float *before = fresh(4 * SIZE * LENGTH), *out = fresh(4 * SIZE * LENGTH);
    void* scratch = fresh(kernels->relative_scratch(LENGTH, SIZE));
    int count = 0;
    for (int i = 0; i < 3 * SIZE * LENGTH; i++)
        qkv[i] = 2 * noise();
    run_relative(kernels, &c, &tables, qkv, 0, LENGTH, before, scratch);
    for (int bad = 0; bad < BAD_VALUES; bad++)
        for (int falling = 0; falling < 2; falling++) {
            const int row = 2; // of a distance of about -15
            float* table = (float*)(falling ? tables.keys : tables.queries);
            float* value = table + (RELATIVE_HEAD * SIZE + 3) * tables.stride +
                           (falling ? 2 * c.span - 1 - row : row);
            const float good = *value;
            *value = bad_value(bad);
            run_relative(kernels, &c, &tables, qkv, 0, LENGTH, out, scratch);
            *value = good;
            for (int i = 0; i < LENGTH; i++) {
                bool lost = false;
                for (int j = 0; j < LENGTH; j++)
                    lost = lost || tables.rows[tables.farthest + i - j] == row;
                count += wrong(out + i * SIZE, before + i * SIZE, SIZE, 0, lost ? SIZE : 0);
            }
        }
    free((void*)tables.keys), free((void*)tables.queries), free((void*)tables.rows), free(qkv);
    free(before), free(out), free(scratch);
    return count;
}

static void check_relative(const struct kernels* kernels) {
    static const int lengths[] = {1, 2, 7, 16, 33, 65, 84, 150};
    double worst = 0;
    int parts = 0;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int size = 4; size <= 40; size += 36)
            for (int kind = 0; kind < 5; kind++) {
                const struct relative_case c = {
                    .length = lengths[i],
                    .size = size,
                    .span = kind < 2 ? 6 + kind : lengths[i] / 3 + 90,
                    .whole = kind < 2    ? 2 + kind
                             : kind == 2 ? 40
                                         : lengths[i] / 3 + 89,
                    .keys = kind != 3,
                    .queries = kind != 4,
                };
                worst = fmax(worst, relative_error(kernels, &c, &parts));
            }
    // Sums of three products, of values and rows up to 2.
    verdict("attention, relative", worst, 2e-6);
    verdict("attention, relative in parts", parts, 0);
    verdict("attention, relative, finite", finite_relative(kernels), 0);
}
