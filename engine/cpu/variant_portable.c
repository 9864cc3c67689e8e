// variant_portable.c: for any processor, by the compiler's own vectors; the baseline of each architecture has some.
#include "kernels.h"

#define VARIANT      portable
#define W            4
#define TILE_ROWS    4
#define TILE_VECTORS 2
#define F32_HOW      "the compiler's vectors"
#define I8_HOW       "the compiler's vectors"

// Two 16-bit terms to a lane. The halves are taken apart by shifts, the upper one keeping its sign.
#define I8_STORE STORE_S16
#define DOT_I8(sum, x, w)                                                                          \
    ((sum) + ((x) << 16 >> 16) * ((w) << 16 >> 16) + ((x) >> 16) * ((w) >> 16))

#include "variant.h"
