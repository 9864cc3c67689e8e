// relative.c: the tables of disentangled attention, which don't depend on the texts and are made once.
#include "forward.h"

void position_rows(
    const struct kernels* kernels,
    const struct norm* norm,
    const struct linear* w,
    float* x,
    ptrdiff_t x_stride,
    int m,
    int h,
    float* y,
    ptrdiff_t y_stride
) {
    if (norm->gamma) {
        struct normalise a = {
            .x = x,
            .y = x,
            .stride = x_stride,
            .m = m,
            .h = h,
            .gamma = norm->gamma,
            .beta = norm->beta,
            .epsilon = norm->epsilon,
        };
        kernels->normalise(&a);
    }
    struct product p = {.w = w, .x = x, .x_stride = x_stride, .m = m, .y = y, .y_stride = y_stride};
    kernels->run_rows(&p);
}
