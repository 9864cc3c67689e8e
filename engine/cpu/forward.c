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

// Queries, keys, values and inner values are floats, or bfloat16 where the matmul halves.
static int passed_bytes(const struct model* m) {
    return m->matmul->halves ? sizeof(uint16_t) : sizeof(float);
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
    p->y = m->matmul->halves ? NULL : values;
    p->half = m->matmul->halves ? values : NULL;
    p->y_stride = stride;
}

static void normalise(
    const struct pass* p,
    struct norm norm,
    float* x,
    ptrdiff_t stride,
    int m,
    int width
) {
    const struct model* model = p->model;
    struct normalise a = {
        .x = x,
        .stride = stride,
        .m = m,
        .h = width,
        .gamma = norm.gamma,
        .beta = norm.beta,
        .epsilon = model->epsilon,
    };
    model->kernels->normalise(&a);
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
    for (int r = 0; r < m; r += model->block) {
        struct product p = {.w = w, .m = m - r < model->block ? m - r : model->block};
        put(model, &p, passed_at(model, y, r * y_stride), y_stride);
        multiply(pass, work, &p, model->matmul->narrow, x + r * stride, stride);
    }
}

// embed adds positions and types to the word embeddings, and leaves the first layer's input in x.
static void embed(const struct pass* p) {
    const struct model* m = p->model;
    const struct scratch* s = &p->scratch;
    ptrdiff_t stride = stride_of(m->e_padded, sizeof(float));
    int rows = p->end - p->begin;
    for (int r = 0; r < rows; r++) {
        float* x = s->embeddings + r * stride;
        const float* position = m->positions + (ptrdiff_t)s->positions[r] * m->e_padded;
        const float* type = m->types + (ptrdiff_t)s->types[r] * m->e_padded;
        for (int i = 0; i < m->e_padded; i++)
            x[i] = x[i] + position[i] + type[i];
    }
    done_rows(p, WORK_EMBED, rows, m->e_padded, 4 * sizeof(float));
    normalise(p, m->embedding_norm, s->embeddings, stride, rows, m->e);
    if (s->embeddings == s->x) return;
    struct product projection = {
        .w = &m->projection,
        .x = s->embeddings,
        .x_stride = stride,
        .m = rows,
        .y = s->x,
        .y_stride = hidden_stride(m),
    };
    m->kernels->f32.run(&projection);
    done_product(p, WORK_PROJECTION, &projection, &m->kernels->f32);
}

// attend computes the context [queries, H] of queries of one sequence, all heads.
static void attend(
    const struct pass* p,
    int sequence,
    void* q,
    ptrdiff_t q_stride,
    int queries,
    void* qkv,
    float* out
) {
    const struct model* m = p->model;
    int start = p->scratch.starts[sequence], size = m->h / m->heads;
    void* k = passed_at(m, qkv, start * qkv_stride(m) + m->h_padded);
    for (int head = 0; head < m->heads; head++) {
        struct attention a = {
            .q = passed_at(m, q, head * size),
            .k = passed_at(m, k, head * size),
            .v = passed_at(m, k, m->h_padded + head * size),
            .q_stride = q_stride,
            .kv_stride = qkv_stride(m),
            .queries = queries,
            .keys = p->scratch.starts[sequence + 1] - start,
            .size = size,
            .scale = 1 / __builtin_sqrtf((float)size),
            .out = out + head * size,
            .out_stride = hidden_stride(m),
            .scratch = p->scratch.attention,
        };
        m->matmul->attend(&a);
    }
    if (!profiled(p)) return;
    uint64_t keys = p->scratch.starts[sequence + 1] - start, rows = queries + 2 * keys;
    lap(p->stopwatch, WORK_ATTENTION, 4 * queries * keys * m->h,
        (rows * passed_bytes(m) + queries * sizeof(float)) * m->h);
}

// transform takes rows x [m, H] and their context through the rest of a layer.
static void transform(
    const struct pass* pass,
    const struct layer* l,
    float* x,
    const float* context,
    int m
) {
    const struct model* model = pass->model;
    ptrdiff_t stride = hidden_stride(model),
              inner_stride = stride_of(model->f_padded, passed_bytes(model));
    const struct matmul* matmul = model->matmul;
    for (int r = 0; r < m;
         r += model->block, x += model->block * stride, context += model->block * stride) {
        int rows = m - r < model->block ? m - r : model->block;
        struct product attention_output = {
            .w = &l->attention_output,
            .m = rows,
            .residual = x,
            .residual_stride = stride,
            .y = x,
            .y_stride = stride,
        };
        multiply(pass, WORK_ATTENTION_OUTPUT, &attention_output, matmul->narrow, context, stride);
        normalise(pass, l->attention_norm, x, stride, rows, model->h);
        struct product intermediate = {
            .w = &l->intermediate,
            .m = rows,
            .activation = model->activation,
        };
        put(model, &intermediate, pass->scratch.inner, inner_stride);
        multiply(pass, WORK_INTERMEDIATE, &intermediate, matmul->narrow, x, stride);
        struct product output = {
            .w = &l->output,
            .m = rows,
            .residual = x,
            .residual_stride = stride,
            .y = x,
            .y_stride = stride,
        };
        multiply(
            pass, WORK_OUTPUT, &output, matmul->halves ? matmul->narrow_half : matmul->narrow,
            pass->scratch.inner, inner_stride
        );
        normalise(pass, l->output_norm, x, stride, rows, model->h);
    }
}

static void* qkv_of(const struct pass* p, int layer) {
    return p->team ? p->team->qkv[layer % 2] : p->scratch.qkv;
}

static void run_layer(const struct pass* p, int index) {
    const struct model* m = p->model;
    const struct layer* l = &m->layers[index];
    const struct scratch* s = &p->scratch;
    int rows = p->end - p->begin;
    void* qkv = qkv_of(p, index);
    in_layer(p, index);
    project(
        p, WORK_QKV, &l->qkv, s->x, rows, passed_at(m, qkv, p->begin * qkv_stride(m)), qkv_stride(m)
    );
    meet(p);
    for (int i = 0; i < p->sequences; i++) {
        int begin = s->starts[i] > p->begin ? s->starts[i] : p->begin;
        int end = s->starts[i + 1] < p->end ? s->starts[i + 1] : p->end;
        if (begin < end)
            attend(
                p, i, passed_at(m, qkv, begin * qkv_stride(m)), qkv_stride(m), end - begin, qkv,
                s->context + (begin - p->begin) * hidden_stride(m)
            );
    }
    transform(p, l, s->x, s->context, rows);
}

// run_last_layer computes only the part of the last layer that the head reads: keys and values of all rows, and from the
// queries on only the rows of [CLS]. It leaves those in scratch.first, and returns their number.
static int run_last_layer(const struct pass* p) {
    const struct model* m = p->model;
    const struct layer* l = &m->layers[m->layer_count - 1];
    const struct scratch* s = &p->scratch;
    ptrdiff_t stride = hidden_stride(m);
    void* qkv = qkv_of(p, m->layer_count - 1);
    in_layer(p, m->layer_count - 1);
    project(
        p, WORK_KEYED, &l->keyed, s->x, p->end - p->begin,
        passed_at(m, qkv, p->begin * qkv_stride(m) + m->h_padded), qkv_stride(m)
    );
    int firsts = 0;
    for (int i = 0; i < p->sequences; i++)
        if (s->starts[i] >= p->begin && s->starts[i] < p->end)
            memcpy(
                s->first + firsts++ * stride, s->x + (s->starts[i] - p->begin) * stride,
                m->h_padded * sizeof(float)
            );
    project(p, WORK_QUERY, &l->query, s->first, firsts, s->pooled, stride);
    meet(p);
    firsts = 0;
    for (int i = 0; i < p->sequences; i++)
        if (s->starts[i] >= p->begin && s->starts[i] < p->end) {
            attend(
                p, i, passed_at(m, s->pooled, firsts * stride), stride, 1, qkv,
                s->context + firsts * stride
            );
            firsts++;
        }
    transform(p, l, s->first, s->context, firsts);
    return firsts;
}

void forward(const struct pass* p) {
    const struct model* m = p->model;
    const struct scratch* s = &p->scratch;
    if (m->kernels->enter) m->kernels->enter();
    embed(p);
    for (int i = 0; i + 1 < m->layer_count; i++)
        run_layer(p, i);
    int n = run_last_layer(p);
    in_layer(p, m->layer_count);
    ptrdiff_t stride = hidden_stride(m);
    struct product pooler = {
        .w = &m->pooler,
        .x = s->first,
        .x_stride = stride,
        .m = n,
        .activation = m->pooler_activation,
        .y = s->pooled,
        .y_stride = stride,
    };
    m->kernels->f32.run(&pooler);
    done_product(p, WORK_HEAD, &pooler, &m->kernels->f32);
    struct product classifier = {
        .w = &m->classifier,
        .x = s->pooled,
        .x_stride = stride,
        .m = n,
        .y = s->logits,
        .y_stride = m->labels_padded,
    };
    m->kernels->f32.run(&classifier);
    done_product(p, WORK_HEAD, &classifier, &m->kernels->f32);
    if (m->kernels->leave) m->kernels->leave();
    meet(p); // no member leaves while another reads the shared values
}
