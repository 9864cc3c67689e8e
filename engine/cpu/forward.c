// forward.c: the forward pass. After attention, rows go through a layer independently. So a chunk is cut into blocks of
// rows, so that their feed-forward values stay in the second-level cache, or over workers, which wait for each other once a
// layer: until every key and value is there.
#define _GNU_SOURCE // for functions beyond ISO C
#include "forward.h"

#include <sched.h>
#include <string.h>

#if defined(__x86_64__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE()
#endif

// Each done_… charges the time since the last one to some work, if the pass is profiled.
static inline bool profiled(const struct pass* p) {
    return __builtin_expect(p->stopwatch != NULL, 0);
}

static void done(const struct pass* p, enum work work) {
    if (profiled(p)) lap(p->stopwatch, work, 0, 0);
}

// done_rows: m rows of width were read, and written as so many bytes each element.
static void done_rows(const struct pass* p, enum work work, int m, int width, int bytes) {
    if (profiled(p)) lap(p->stopwatch, work, 0, (uint64_t)m * width * bytes);
}

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

static ptrdiff_t hidden_stride(const struct model* m) {
    return stride_of(m->h_padded, sizeof(float));
}

// Queries, keys, values and inner values are floats, or bfloat16 where attention takes that.
static bool halves(const struct model* m) {
    return m->attending->halves;
}

static int passed_bytes(const struct model* m) {
    return halves(m) ? sizeof(uint16_t) : sizeof(float);
}

static ptrdiff_t qkv_stride(const struct model* m) {
    return stride_of(3 * m->h_padded, passed_bytes(m));
}

// passed_at is the address of element i of such values.
static void* passed_at(const struct model* m, void* values, ptrdiff_t i) {
    return (char*)values + i * passed_bytes(m);
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
    p->x = x;
    p->x_stride = x_stride;
    const struct matmul* matmul = pass->model->matmul;
    if (narrow) {
        p->x = pass->scratch.narrow;
        p->x_stride = stride_of(p->w->k, matmul->input_bytes);
        p->rows = pass->scratch.rows;
        narrow(x, x_stride, p->m, p->w->k, pass->scratch.narrow, p->x_stride, pass->scratch.rows);
        int read = narrow == matmul->narrow_half ? sizeof(uint16_t) : sizeof(float);
        done_rows(pass, WORK_NARROW, p->m, p->w->k, read + matmul->input_bytes);
    }
    matmul->run(p);
    done_product(pass, work, p, matmul);
}

// rows_of_block spreads m rows over as few blocks as there must be, evenly, but in whole tiles.
static int rows_of_block(const struct model* model, int m) {
    int blocks = (m + model->block - 1) / model->block;
    return round_up((m + blocks - 1) / blocks, model->matmul->rows);
}

// project computes y[m, n] = x[m, h] Wᵀ + b, a block at a time.
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

// rotate turns queries or keys of the pass's rows by their positions.
static void rotate(const struct pass* p, const struct layer* l, float* x, ptrdiff_t stride) {
    const struct model* m = p->model;
    struct rotate a = {
        .x = x,
        .stride = stride,
        .m = p->end - p->begin,
        .heads = m->heads,
        .size = m->h / m->heads,
        .positions = p->scratch.positions,
        .table = l->rotary,
    };
    m->kernels->rotate(&a);
    done_rows(p, WORK_ROTATE, a.m, m->h, 2 * sizeof(float));
}

// attend computes the context [queries, H] of queries of one sequence from number `at` on, all heads.
static void attend(
    const struct pass* p,
    const struct layer* l,
    int sequence,
    int at,
    void* q,
    ptrdiff_t q_stride,
    int queries,
    void* qkv,
    float* out
) {
    const struct model* m = p->model;
    int size = m->h / m->heads;
    int first = 0, last = p->scratch.starts[sequence + 1] - p->scratch.starts[sequence];
    if (l->window) { // the keys that some query sees
        if (at > l->window) first = (at - l->window) / PAD * PAD;
        if (at + queries + l->window < last) last = at + queries + l->window;
    }
    void* k =
        passed_at(m, qkv, (p->scratch.starts[sequence] + first) * qkv_stride(m) + m->h_padded);
    for (int head = 0; head < m->heads; head++) {
        struct attention a = {
            .q = passed_at(m, q, head * size),
            .k = passed_at(m, k, head * size),
            .v = passed_at(m, k, m->h_padded + head * size),
            .q_stride = q_stride,
            .kv_stride = qkv_stride(m),
            .queries = queries,
            .keys = last - first,
            .size = size,
            .scale = 1 / __builtin_sqrtf((float)(size * (1 + l->relative.terms))),
            .out = out + head * size,
            .out_stride = hidden_stride(m),
            .scratch = p->scratch.attention,
            .window = l->window,
            .offset = at - first,
            .slope = l->slopes ? l->slopes[head] : 0,
        };
        if (l->relative.terms)
            m->kernels->attend_relative(&a, &l->relative, head);
        else
            m->attending->attend(&a);
    }
    if (!profiled(p)) return;
    uint64_t keys = last - first, rows = queries + 2 * keys, pairs = queries * keys;
    if (l->window) {
        pairs = 0;
        for (int i = at; i < at + queries; i++)
            pairs += (i + l->window + 1 < last ? i + l->window + 1 : last) -
                     (i > l->window ? i - l->window : 0);
    }
    const uint64_t terms = l->relative.terms, table = terms * 2 * l->relative.span * sizeof(float);
    lap(p->stopwatch, WORK_ATTENTION, (4 + 2 * terms) * pairs * m->h,
        (rows * passed_bytes(m) + queries * sizeof(float) + table) * m->h);
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
              inner_stride = stride_of(model->inner_padded, passed_bytes(model));
    const struct matmul* matmul = model->matmul;
    if (m == 0) return;
    int block = rows_of_block(model, m);
    for (int r = 0; r < m;
         r += block, x += block * stride, n += block * stride, context += block * stride) {
        int rows = m - r < block ? m - r : block;
        struct product attention_output = {
            .w = &l->attention_output,
            .m = rows,
            .residual = x,
            .residual_stride = stride,
            .y = x,
            .y_stride = stride,
        };
        multiply(pass, WORK_ATTENTION_OUTPUT, &attention_output, matmul->narrow, context, stride);
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
        struct product output = {
            .w = &l->output,
            .m = rows,
            .residual = x,
            .residual_stride = stride,
            .y = x,
            .y_stride = stride,
        };
        multiply(
            pass, WORK_OUTPUT, &output, halves(model) ? matmul->narrow_half : matmul->narrow,
            pass->scratch.inner, inner_stride
        );
        normalise(pass, &l->output_norm, x, n, stride, rows, model->h);
    }
}

static void* qkv_of(const struct pass* p, int layer) {
    return p->team ? p->team->qkv[layer % 2] : p->scratch.qkv;
}

// begin_layer leaves the queries, keys and values of our rows where the team reads them.
static void begin_layer(const struct pass* p, int index) {
    const struct model* m = p->model;
    const struct layer* l = &m->layers[index];
    void* ours = passed_at(m, qkv_of(p, index), p->begin * qkv_stride(m));
    in_layer(p, index);
    project(p, WORK_QKV, &l->qkv, p->scratch.n, p->end - p->begin, ours, qkv_stride(m));
    if (l->rotary) {
        rotate(p, l, ours, qkv_stride(m));
        rotate(p, l, (float*)ours + m->h_padded, qkv_stride(m));
    }
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
            attend(
                p, l, i, begin - s->starts[i], passed_at(m, qkv, begin * qkv_stride(m)),
                qkv_stride(m), end - begin, qkv, s->context + (begin - p->begin) * hidden_stride(m)
            );
    }
    transform(p, l, s->x, s->n, s->context, p->end - p->begin);
}

// gather_first copies the rows of [CLS], and returns their number.
static int gather_first(const struct pass* p, const float* from, float* to) {
    const struct scratch* s = &p->scratch;
    ptrdiff_t stride = hidden_stride(p->model);
    int firsts = 0;
    for (int i = 0; i < p->sequences; i++)
        if (s->starts[i] >= p->begin && s->starts[i] < p->end)
            memcpy(
                to + firsts++ * stride, from + (s->starts[i] - p->begin) * stride,
                p->model->h_padded * sizeof(float)
            );
    return firsts;
}

// begin_last_layer and end_last_layer compute only the part of the last layer that the head reads: keys and values of all
// rows, and from the queries on only the rows of [CLS]. They leave those in scratch.first_n, and their number is returned.
static void begin_last_layer(const struct pass* p) {
    const struct model* m = p->model;
    const struct layer* l = &m->layers[m->layer_count - 1];
    const struct scratch* s = &p->scratch;
    void* qkv = qkv_of(p, m->layer_count - 1);
    void* keys = passed_at(m, qkv, p->begin * qkv_stride(m) + m->h_padded);
    in_layer(p, m->layer_count - 1);
    project(p, WORK_KEYED, &l->keyed, s->n, p->end - p->begin, keys, qkv_stride(m));
    if (l->rotary) rotate(p, l, keys, qkv_stride(m)); // position 0, that of the queries, turns none
    int firsts = gather_first(p, s->x, s->first);
    if (m->keep_sum) gather_first(p, s->n, s->first_n);
    project(p, WORK_QUERY, &l->query, s->first_n, firsts, s->query, hidden_stride(m));
}

static int end_last_layer(const struct pass* p) {
    const struct model* m = p->model;
    const struct layer* l = &m->layers[m->layer_count - 1];
    const struct scratch* s = &p->scratch;
    ptrdiff_t stride = hidden_stride(m);
    int firsts = 0;
    in_layer(p, m->layer_count - 1);
    for (int i = 0; i < p->sequences; i++)
        if (s->starts[i] >= p->begin && s->starts[i] < p->end) {
            attend(
                p, l, i, 0, passed_at(m, s->query, firsts * stride), stride, 1,
                qkv_of(p, m->layer_count - 1), s->context + firsts * stride
            );
            firsts++;
        }
    transform(p, l, s->first, s->first_n, s->context, firsts);
    return firsts;
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

// run_mean leaves in scratch.first_n the means of the rows n of the sequences that begin in our rows, and returns their
// number. A mean is summed in the order of its rows, whoever has computed them.
static int run_mean(const struct pass* p) {
    const struct model* m = p->model;
    const struct scratch* s = &p->scratch;
    ptrdiff_t stride = hidden_stride(m);
    const float* n = s->n - p->begin * stride; // row 0 of the chunk
    if (p->team) n = qkv_of(p, m->layer_count);
    int count = 0;
    for (int i = 0; i < p->sequences; i++) {
        if (s->starts[i] < p->begin || s->starts[i] >= p->end) continue;
        float* mean = s->first_n + count++ * stride;
        memset(mean, 0, m->h_padded * sizeof(float));
        for (int r = s->starts[i]; r < s->starts[i + 1]; r++)
            add_row(mean, n + r * stride, m->h_padded);
        for (int j = 0; j < m->h; j++)
            mean[j] /= (float)(s->starts[i + 1] - s->starts[i]);
    }
    return count;
}

// run_head leaves the logits of n rows of scratch.first_n.
static void run_head(const struct pass* p, int n) {
    const struct model* m = p->model;
    float* x = p->scratch.first_n;
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
    return m->layer_count + 1 + m->mean;
}

static void do_stage(const struct pass* p, int stage) {
    const struct model* m = p->model;
    int whole = m->layer_count - !m->mean; // layers that compute all rows
    if (stage == 0) embed(p);
    if (stage > 0 && stage <= whole) end_layer(p, stage - 1);
    if (stage < whole)
        begin_layer(p, stage);
    else if (stage + 1 < stages_of(m))
        m->mean ? share_rows(p) : begin_last_layer(p);
    else {
        int n = m->mean ? run_mean(p) : end_last_layer(p);
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
