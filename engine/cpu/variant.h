// variant.h: the kernels of one variant. A variant's .c file switches its instructions on, defines W, TILE_ROWS,
// TILE_VECTORS, the instructions that it has, and VARIANT, and includes this file, which makes kernels_VARIANT.

#include "simd.h"
#include "vmath.h"
#include "rows.h"
#include "heads.h"
#include "gemm_f32.h"
#include "gemm_dot.h"
#ifdef WITH_AMX
#include "gemm_amx.h"
#endif
#ifdef WITH_I8MM
#include "gemm_i8mm.h"
#endif
#include "attention.h"
#ifdef WITH_I16
#include "attention_i16.h"
#endif
#include "attention_relative.h"
#ifdef WITH_AMX
#include "attention_amx.h"
#endif

#ifndef RUN_I8
#define RUN_I8   run_i8
#define I8_GROUP (I8_STORE == STORE_S16 ? 2 : 4)
#endif
#define ATTEND_F32                                                                                 \
    .attend = attend, .attention_scratch = attention_scratch, .pack = pack_keys,                   \
    .packed_size = packed_keys_size, .attend_how = F32_HOW, .shares = true
#ifdef WITH_AMX
#define NARROW(to)                                                                                 \
    .narrow = narrow_amx_##to, .narrow_half = narrow_half_amx_##to, .attend = attend_amx,          \
    .attention_scratch = attention_amx_scratch, .attend_how = BF16_HOW, .halves = true,            \
    .rows = 32, .panel = 16
#else
#ifdef WITH_I16
#define ATTEND_I8                                                                                  \
    .attend = attend_i16, .attention_scratch = attention_i16_scratch, .pack = pack_i16,            \
    .packed_size = packed_i16_size, .attend_how = I16_HOW
#else
#define ATTEND_I8 ATTEND_F32
#endif
#ifdef WITH_I8MM
#define NARROW(to) .narrow = narrow_##to, ATTEND_I8, .rows = I8MM_ROWS, .panel = PANEL
#else
#define NARROW(to) .narrow = narrow_##to, ATTEND_I8, .rows = TILE_ROWS, .panel = PANEL
#endif
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)
#define TEXT_(a)    #a
#define TEXT(a)     TEXT_(a)

const struct kernels JOIN(kernels_, VARIANT) = {
    .name = TEXT(VARIANT),
    .f32 =
        {.run = run_f32,
         .narrow = narrow_f32,
         ATTEND_F32,
         .rows = TILE_ROWS,
         .panel = PANEL,
         .group = 1,
         .weight_bytes = 4,
         .input_bytes = 4,
         .how = F32_HOW},
    .i8 =
        {
            .run = RUN_I8,
            NARROW(i8),
            .group = I8_GROUP,
            .weight_bytes = I8_STORE == STORE_S16 ? 2 : 1,
            .input_bytes = I8_STORE == STORE_S16 ? 2 : 1,
            .how = I8_HOW,
        },
#ifdef WITH_AMX
    .bf16 =
        {
            .run = RUN_BF16,
            NARROW(bf16),
            .group = 2,
            .weight_bytes = 2,
            .input_bytes = 2,
            .how = BF16_HOW,
        },
#endif
    .run_rows = run_rows_f32,
    .attend_relative = attend_relative,
    .relative_scratch = relative_scratch,
    .normalise = normalise_rows,
    .normalise_heads = normalise_head_rows,
    .rotate = rotate_rows,
    .gate = gate_rows,
    .widen_halves = widen_halves,
#ifdef WITH_AMX
    .enter = enter_amx,
    .leave = leave_amx,
#endif
};
