// forward.c: the forward pass. After attention, rows go through a layer independently. So a chunk is cut into blocks of
// rows, so that their feed-forward values stay in the second-level cache, or over workers, which wait for each other once a
// layer: until every key and value is there.
#define _GNU_SOURCE // for functions beyond ISO C
#include "pass.h"

#include <sched.h>
#include <string.h>

#if defined(__x86_64__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE()
#endif

// done_product: by a matmul.
static void done_product(
    const struct pass* p,
    enum work work,
    const struct product* a,
    const struct matmul* matmul
) {
    if (!profiled(p)) return;
    uint64_t m = a->m, n = a->w->n, k = a->w->k;
    uint64_t results = m * n * (a->half ? sizeof(uint16_t) : sizeof(float));
    uint64_t added = n * sizeof(float) + (a->residual ? m * n * sizeof(float) : 0);
    uint64_t factors = n * k * matmul->weight_bytes + m * k * matmul->input_bytes;
    lap(p->stopwatch, work, 2 * m * n * k, factors + added + results);
}

static void in_layer(const struct pass* p, int layer) {
    if (profiled(p)) p->stopwatch->layer = layer;
}

// meet returns once all members of the team have called it. The others are at work, so that the wait is short; if a
// thread has lost its core, giving up ours is the best remedy.
static void meet(const struct pass* p) {
    if (!p->team) return;
    int phase = atomic_load_explicit(&p->team->phase, memory_order_relaxed);
    if (atomic_fetch_add(&p->team->arrived, 1) + 1 == p->members) {
        atomic_store_explicit(&p->team->arrived, 0, memory_order_relaxed);
        atomic_fetch_add(&p->team->phase, 1);
    } else {
        for (int i = 0; atomic_load_explicit(&p->team->phase, memory_order_acquire) == phase; i++) {
            PAUSE();
            if (i > 2000) sched_yield();
        }
    }
    done(p, WORK_WAIT);
}

// put sets where a product writes such values.
static void put(const struct model* m, struct product* p, void* values, ptrdiff_t stride) {
    p->y = halves(m) ? NULL : values;
    p->half = halves(m) ? values : NULL;
    p->y_stride = stride;
}

// normalise computes rows y, which may be x, of rows x. Without a norm, they are the same.
static void normalise(
    const struct pass* p,
    const struct norm* norm,
    const float* x,
    float* y,
    ptrdiff_t stride,
    int m,
    int width
) {
    if (!norm->gamma) {
        if (x != y) memcpy(y, x, m * stride * sizeof(float));
        return;
    }
    struct normalise a = {
        .x = x,
        .y = y,
        .stride = stride,
        .m = m,
        .h = width,
        .gamma = norm->gamma,
        .beta = norm->beta,
        .epsilon = norm->epsilon,
        .rms = norm->rms,
    };
    p->model->kernels->normalise(&a);
    done_rows(p, WORK_NORM, m, width, 2 * sizeof(float));
}

// multiply runs a product over at most a block of rows, which `narrow` turns into its elements; p has everything but x.
static void multiply(
    const struct pass* pass,
    enum work work,
    struct product* p,
    narrowing* narrow,
    const void* x,
    ptrdiff_t x_stride
) {
    const struct matmul* matmul = pass->model->matmul;
    p->x = pass->scratch.narrow;
    p->x_stride = stride_of(p->w->k, matmul->input_bytes);
    p->rows = pass->scratch.rows;
    narrow(x, x_stride, p->m, p->w->k, pass->scratch.narrow, p->x_stride, pass->scratch.rows);
    int read = narrow == matmul->narrow_half ? sizeof(uint16_t) : sizeof(float);
    done_rows(pass, WORK_NARROW, p->m, p->w->k, read + matmul->input_bytes);
    matmul->run(p);
    done_product(pass, work, p, matmul);
}

// rows_of_block spreads m rows over as few blocks as there must be, evenly, but in whole tiles.
static int rows_of_block(const struct model* model, int m) {
    int blocks = (m + model->block - 1) / model->block;
    return round_up((m + blocks - 1) / blocks, model->matmul->rows);
}

// project computes y[m, n] = x[m, H] Wᵀ + b, a block at a time.
static void project(
    const struct pass* pass,
    enum work work,
    const struct linear* w,
    const float* x,
    int m,
    void* y,
    ptrdiff_t y_stride
) {
    const struct model* model = pass->model;
    ptrdiff_t stride = hidden_stride(model);
    if (m == 0) return;
    int block = rows_of_block(model, m);
    for (int r = 0; r < m; r += block) {
        struct product p = {.w = w, .m = m - r < block ? m - r : block};
        put(model, &p, passed_at(model, y, r * y_stride), y_stride);
        multiply(pass, work, &p, model->matmul->narrow, x + r * stride, stride);
    }
}

static void add_row(float* x, const float* row, int width) {
    for (int i = 0; i < width; i++)
        x[i] += row[i];
}

// embed adds positions and types to the word embeddings, and leaves the first layer's input in x and n.
static void embed(const struct pass* p) {
    const struct model* m = p->model;
    const struct scratch* s = &p->scratch;
    ptrdiff_t stride = stride_of(m->e_padded, sizeof(float));
    int rows = p->end - p->begin;
    for (int r = 0; r < rows; r++) {
        float* x = s->embeddings + r * stride;
        if (m->positions)
            add_row(x, m->positions + (ptrdiff_t)s->positions[r] * m->e_padded, m->e_padded);
        if (m->types) add_row(x, m->types + (ptrdiff_t)s->types[r] * m->e_padded, m->e_padded);
    }
    done_rows(p, WORK_EMBED, rows, m->e_padded, 4 * sizeof(float));
    normalise(p, &m->embedding_norm, s->embeddings, s->embeddings, stride, rows, m->e);
    if (s->embeddings != s->x) {
        struct product projection = {
            .w = &m->projection,
            .x = s->embeddings,
            .x_stride = stride,
            .m = rows,
            .y = s->x,
            .y_stride = hidden_stride(m),
        };
        m->kernels->run_rows(&projection);
        done_product(p, WORK_PROJECTION, &projection, &m->kernels->f32);
    }
    normalise(p, &m->first_norm, s->x, s->n, hidden_stride(m), rows, m->h);
}

// transform takes rows x and n [m, H] and their context through the rest of a layer.
static void transform(
    const struct pass* pass,
    const struct layer* l,
    float* x,
    float* n,
    const float* context,
    int m
) {
    const struct model* model = pass->model;
    ptrdiff_t stride = hidden_stride(model),
              inner_stride = stride_of(model->inner_padded, passed_bytes(model)),
              wide_stride = context_stride(model);
    const struct matmul* matmul = model->matmul;
    if (m == 0) return;
    int block = rows_of_block(model, m);
    for (int r = 0; r < m;
         r += block, x += block * stride, n += block * stride, context += block * wide_stride) {
        int rows = m - r < block ? m - r : block;
        struct product attention_output = {
            .w = &l->attention_output,
            .m = rows,
            .residual = x,
            .residual_stride = stride,
            .y = x,
            .y_stride = stride,
        };
        multiply(
            pass, WORK_ATTENTION_OUTPUT, &attention_output, matmul->narrow, context, wide_stride
        );
        normalise(pass, &l->attention_norm, x, n, stride, rows, model->h);
        struct product intermediate = {
            .w = &l->intermediate,
            .m = rows,
            .activation = l->gated ? ACTIVATION_NONE : l->activation,
        };
        put(model, &intermediate, pass->scratch.inner, inner_stride);
        multiply(pass, WORK_INTERMEDIATE, &intermediate, matmul->narrow, n, stride);
        if (l->gated) {
            struct gate gate = {
                .x = pass->scratch.inner,
                .stride = inner_stride,
                .m = rows,
                .f = model->f_padded,
                .activation = l->activation,
                .coarse = matmul == &model->kernels->i8,
            };
            model->kernels->gate(&gate);
            done_rows(pass, WORK_GATE, rows, model->f_padded, 3 * sizeof(float));
        }
        for (int part = 0, column = 0; part < l->parts; column += l->output[part++].k) {
            struct product output = {
                .w = &l->output[part],
                .m = rows,
                .residual = x,
                .residual_stride = stride,
                .y = x,
                .y_stride = stride,
            };
            multiply(
                pass, WORK_OUTPUT, &output, halves(model) ? matmul->narrow_half : matmul->narrow,
                passed_at(model, pass->scratch.inner, column), inner_stride
            );
        }
        normalise(pass, &l->output_norm, x, n, stride, rows, model->h);
    }
}

static void* qkv_of(const struct pass* p, int layer) {
    return p->team ? p->team->qkv[layer % 2] : p->scratch.qkv;
}

static void turn_keys(const struct pass* p, const struct layer* l, void* keys) {
    const struct model* m = p->model;
    turn_heads(
        p, l, &l->key_norm, m->key_heads, keys, qkv_stride(m), p->scratch.positions,
        p->end - p->begin
    );
}

// begin_layer leaves the queries, keys and values of our rows where the team reads them.
static void begin_layer(const struct pass* p, int index) {
    const struct model* m = p->model;
    const struct layer* l = &m->layers[index];
    void* ours = passed_at(m, qkv_of(p, index), p->begin * qkv_stride(m));
    in_layer(p, index);
    const int rows = p->end - p->begin;
    project(p, WORK_QKV, &l->qkv, p->scratch.n, rows, ours, qkv_stride(m));
    turn_heads(p, l, &l->query_norm, m->heads, ours, qkv_stride(m), p->scratch.positions, rows);
    turn_keys(p, l, passed_at(m, ours, m->queries_padded));
}

// end_layer takes our rows through the rest of a layer, once every row of the chunk has begun it.
static void end_layer(const struct pass* p, int index) {
    const struct model* m = p->model;
    const struct layer* l = &m->layers[index];
    const struct scratch* s = &p->scratch;
    void* qkv = qkv_of(p, index);
    in_layer(p, index);
    for (int i = 0; i < p->sequences; i++) {
        int begin = s->starts[i] > p->begin ? s->starts[i] : p->begin;
        int end = s->starts[i + 1] < p->end ? s->starts[i + 1] : p->end;
        if (begin < end)
            attend_sequence(
                p, l, i, begin - s->starts[i], passed_at(m, qkv, begin * qkv_stride(m)),
                qkv_stride(m), end - begin, qkv, s->context + (begin - p->begin) * context_stride(m)
            );
    }
    transform(p, l, s->x, s->n, s->context, p->end - p->begin);
}

// next_pooled returns the number of the first sequence from number i on whose row for the head is ours, or a number past all.
static int next_pooled(const struct pass* p, int i) {
    for (; i < p->sequences; i++) {
        const int row = row_of(p->model->pool, p->scratch.starts, i);
        if (row >= p->begin && row < p->end) break;
    }
    return i;
}

// gather_pooled copies the rows that the head takes, and returns their number.
static int gather_pooled(const struct pass* p, const float* from, float* to) {
    const struct model* m = p->model;
    ptrdiff_t stride = hidden_stride(m);
    int count = 0;
    for (int i = next_pooled(p, 0); i < p->sequences; i = next_pooled(p, i + 1))
        memcpy(
            to + count++ * stride,
            from + (row_of(m->pool, p->scratch.starts, i) - p->begin) * stride,
            m->h_padded * sizeof(float)
        );
    return count;
}

// begin_last_layer and end_last_layer compute only the part of the last layer that the head reads: keys and values of all
// rows, and from the queries on only the rows that the head takes. They leave those in scratch.pooled_n, and their number is
// returned.
static void begin_last_layer(const struct pass* p) {
    const struct model* m = p->model;
    const struct layer* l = &m->layers[m->layer_count - 1];
    const struct scratch* s = &p->scratch;
    void* qkv = qkv_of(p, m->layer_count - 1);
    void* keys = passed_at(m, qkv, p->begin * qkv_stride(m) + m->queries_padded);
    in_layer(p, m->layer_count - 1);
    project(p, WORK_KEYED, &l->keyed, s->n, p->end - p->begin, keys, qkv_stride(m));
    turn_keys(p, l, keys);
    int count = gather_pooled(p, s->x, s->pooled);
    if (m->keep_sum) gather_pooled(p, s->n, s->pooled_n);
    project(p, WORK_QUERY, &l->query, s->pooled_n, count, s->query, context_stride(m));
    float* query = s->query;
    for (int i = next_pooled(p, 0); i < p->sequences; i = next_pooled(p, i + 1)) {
        const int32_t* position = s->positions + row_of(m->pool, s->starts, i) - p->begin;
        turn_heads(p, l, &l->query_norm, m->heads, query, context_stride(m), position, 1);
        query += context_stride(m);
    }
}

static int end_last_layer(const struct pass* p) {
    const struct model* m = p->model;
    const struct layer* l = &m->layers[m->layer_count - 1];
    const struct scratch* s = &p->scratch;
    ptrdiff_t stride = context_stride(m);
    int count = 0;
    in_layer(p, m->layer_count - 1);
    for (int i = next_pooled(p, 0); i < p->sequences; i = next_pooled(p, i + 1), count++)
        attend_sequence(
            p, l, i, row_of(m->pool, s->starts, i) - s->starts[i],
            passed_at(m, s->query, count * stride), stride, 1, qkv_of(p, m->layer_count - 1),
            s->context + count * stride
        );
    transform(p, l, s->pooled, s->pooled_n, s->context, count);
    return count;
}

// share_rows puts our rows n where the team reads them, for run_mean.
static void share_rows(const struct pass* p) {
    ptrdiff_t stride = hidden_stride(p->model);
    // The values of the last layer but one have been read by all: each has begun with the last.
    float* shared = qkv_of(p, p->model->layer_count);
    if (p->team)
        memcpy(
            shared + p->begin * stride, p->scratch.n, (p->end - p->begin) * stride * sizeof(float)
        );
}

// run_mean leaves in scratch.pooled_n the means of the rows n of the sequences that begin in our rows, and returns their
// number. A mean is summed in the order of its rows, whoever has computed them.
static int run_mean(const struct pass* p) {
    const struct model* m = p->model;
    const struct scratch* s = &p->scratch;
    ptrdiff_t stride = hidden_stride(m);
    const float* n = s->n - p->begin * stride; // row 0 of the chunk
    if (p->team) n = qkv_of(p, m->layer_count);
    int count = 0;
    for (int i = next_pooled(p, 0); i < p->sequences; i = next_pooled(p, i + 1)) {
        float* mean = s->pooled_n + count++ * stride;
        memset(mean, 0, m->h_padded * sizeof(float));
        for (int r = s->starts[i]; r < s->starts[i + 1]; r++)
            add_row(mean, n + r * stride, m->h_padded);
        for (int j = 0; j < m->h; j++)
            mean[j] /= (float)(s->starts[i + 1] - s->starts[i]);
    }
    return count;
}

// run_head leaves the logits of n rows of scratch.pooled_n.
static void run_head(const struct pass* p, int n) {
    const struct model* m = p->model;
    float* x = p->scratch.pooled_n;
    ptrdiff_t stride = hidden_stride(m);
    for (int i = 0; i < m->step_count; i++) {
        const struct step* step = &m->steps[i];
        if (step->linear.panels) {
            const bool last = i == m->step_count - 1;
            struct product product = {
                .w = &step->linear,
                .x = x,
                .x_stride = stride,
                .m = n,
                .activation = step->activation,
                .y = last ? p->scratch.logits : p->scratch.between[i % 2],
                .y_stride = last ? m->labels_padded : stride_of(m->head_padded, sizeof(float)),
            };
            m->kernels->run_rows(&product);
            done_product(p, WORK_HEAD, &product, &m->kernels->f32);
            x = product.y;
            stride = product.y_stride;
        }
        normalise(p, &step->norm, x, x, stride, n, step->width);
    }
}

int stages_of(const struct model* m) {
    return m->layer_count + 1 + (m->pool == POOL_MEAN);
}

static void do_stage(const struct pass* p, int stage) {
    const struct model* m = p->model;
    const bool mean = m->pool == POOL_MEAN;
    const int whole = m->layer_count - !mean; // layers that compute all rows
    if (stage == 0) embed(p);
    if (stage > 0 && stage <= whole) end_layer(p, stage - 1);
    if (stage < whole)
        begin_layer(p, stage);
    else if (stage + 1 < stages_of(m))
        mean ? share_rows(p) : begin_last_layer(p);
    else {
        int n = mean ? run_mean(p) : end_last_layer(p);
        in_layer(p, m->layer_count);
        run_head(p, n);
    }
}

static void enter(const struct model* m) {
    if (m->kernels->enter) m->kernels->enter();
}

static void leave(const struct model* m) {
    if (m->kernels->leave) m->kernels->leave();
}

void pack_stage(const struct pass* p, int stage) {
    if (stage > p->model->layer_count) return;
    in_layer(p, stage - 1);
    for (int i = 0; i < p->sequences; i++)
        pack_sequence(p, &p->model->layers[stage - 1], i, qkv_of(p, stage - 1));
    done(p, WORK_ATTENTION);
}

void run_stage(const struct pass* p, int stage) {
    enter(p->model);
    do_stage(p, stage);
    leave(p->model);
}

void forward(const struct pass* p) {
    enter(p->model);
    for (int stage = 0; stage < stages_of(p->model); stage++) {
        do_stage(p, stage);
        meet(p);
    }
    leave(p->model);
}
