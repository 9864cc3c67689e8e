// msl.h: Metal's language and standard library in terms of clang's C++20, for kernels that package msl has rewritten.
// It includes no header of the host's, so that a kernel sees no name that Metal doesn't have.
#pragma once

#include "../rt/abi.h"

// SIM_INLINE is for functions that must cost nothing. SIM_RUNTIME is for functions that move data between lanes. The
// checker must not take their accesses for the kernel's, so they stay out of line, where no hooks are put in. That also
// keeps compilation short, but costs a return that the processor cannot predict after each switch; so matrices, which
// switch most, are SIM_HOT: inlined in plain builds (3.1 instead of 1.7 GFLOP/s a thread on an EPYC of 2024).
#define SIM_INLINE    inline __attribute__((always_inline))
#define SIM_UNCHECKED __attribute__((no_sanitize("thread", "alignment", "bounds")))
#define SIM_RUNTIME   SIM_UNCHECKED __attribute__((noinline)) inline
#if SIM_CHECKED
#define SIM_HOT SIM_RUNTIME
#else
#define SIM_HOT SIM_INLINE
#endif

#include "types.h"
#include "traits.h"
#include "vec.h"
#include "math.h"
#include "integer.h"
#include "barrier.h"
#include "simd.h"
#include "matrix.h"
#include "atomic.h"
#include "internals.h"
#include "entry.h"

// Address spaces. The dialect check (tools/check/metallint) enforces them; here all memory is one.
#define device
#define thread
#define threadgroup
#define constant const
