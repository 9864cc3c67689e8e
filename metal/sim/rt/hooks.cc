// hooks.cc: functions that the instrumented code of a checked kernel calls. They are compiled, uninstrumented, into each
// kernel's object.
//
// Checked kernels are built with -fsanitize=thread and parts of -fsanitize=undefined, but not linked with the runtime
// libraries of these. This file defines their symbols instead: hidden, since the process may have a thread sanitizer of
// its own (a Go binary built with -race has). They call the runtime's checker through a table, set when the object is
// loaded.
// Names and signatures are those of LLVM 19: ThreadSanitizer.cpp, and CGExpr.cpp's calls of UBSan handlers.
#include "abi.h"

namespace sim {
// Null while the object is loaded: its initialisers are not checked.
const CheckTable* checkHooks = nullptr;

#define HOOK      extern "C" __attribute__((visibility("hidden")))
#define CALLER_PC __builtin_return_address(0)

// Reads and writes of 1 to 16 bytes. "Unaligned" ones are checked for alignment by UBSan, which knows the type.

#define ACCESS(name, table, log2)                                                                  \
    HOOK void __tsan_##name(void* p) {                                                             \
        if (checkHooks) checkHooks->table[log2](p, CALLER_PC);                                     \
    }
#define ACCESSES(size, log2)                                                                       \
    ACCESS(read##size, read, log2)                                                                 \
    ACCESS(write##size, write, log2)                                                               \
    ACCESS(unaligned_read##size, read, log2)                                                       \
    ACCESS(unaligned_write##size, write, log2)
ACCESSES(1, 0)
ACCESSES(2, 1)
ACCESSES(4, 2)
ACCESSES(8, 3)
ACCESSES(16, 4)
#undef ACCESSES
#undef ACCESS

// Whole objects.

HOOK void* __tsan_memcpy(void* to, const void* from, uint64_t size) {
    if (checkHooks && size > 0) {
        checkHooks->readRange(from, size, CALLER_PC);
        checkHooks->writeRange(to, size, CALLER_PC);
    }
    return __builtin_memcpy(to, from, size);
}

HOOK void* __tsan_memmove(void* to, const void* from, uint64_t size) {
    if (checkHooks && size > 0) {
        checkHooks->readRange(from, size, CALLER_PC);
        checkHooks->writeRange(to, size, CALLER_PC);
    }
    return __builtin_memmove(to, from, size);
}

HOOK void* __tsan_memset(void* to, int value, uint64_t size) {
    if (checkHooks && size > 0) checkHooks->writeRange(to, size, CALLER_PC);
    return __builtin_memset(to, value, size);
}

// Atomics: the hook does the operation, too. Relaxed order is all that MSL has. A compare-exchange counts as a
// write only: it follows a load of the same address, which counts as the read.

#define CHECK_ATOMIC(T, p, kind)                                                                   \
    if (checkHooks)                                                                                \
    checkHooks->atomic(const_cast<const T*>(p), sizeof(T), AtomicKind::kind, CALLER_PC)
#define UPDATE(bits, T, name)                                                                      \
    HOOK T __tsan_atomic##bits##_##name(volatile T* p, T value, int) {                             \
        CHECK_ATOMIC(T, p, update);                                                                \
        return __atomic_##name(p, value, __ATOMIC_RELAXED);                                        \
    }
#define ATOMICS(bits, T)                                                                           \
    HOOK T __tsan_atomic##bits##_load(const volatile T* p, int) {                                  \
        CHECK_ATOMIC(T, p, load);                                                                  \
        return __atomic_load_n(p, __ATOMIC_RELAXED);                                               \
    }                                                                                              \
    HOOK void __tsan_atomic##bits##_store(volatile T* p, T value, int) {                           \
        CHECK_ATOMIC(T, p, store);                                                                 \
        __atomic_store_n(p, value, __ATOMIC_RELAXED);                                              \
    }                                                                                              \
    HOOK T __tsan_atomic##bits##_exchange(volatile T* p, T value, int) {                           \
        CHECK_ATOMIC(T, p, update);                                                                \
        return __atomic_exchange_n(p, value, __ATOMIC_RELAXED);                                    \
    }                                                                                              \
    HOOK T __tsan_atomic##bits##_compare_exchange_val(                                             \
        volatile T* p, T expected, T value, int, int                                               \
    ) {                                                                                            \
        CHECK_ATOMIC(T, p, store);                                                                 \
        __atomic_compare_exchange_n(                                                               \
            p, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED                         \
        );                                                                                         \
        return expected;                                                                           \
    }                                                                                              \
    UPDATE(bits, T, fetch_add)                                                                     \
    UPDATE(bits, T, fetch_sub)                                                                     \
    UPDATE(bits, T, fetch_and)                                                                     \
    UPDATE(bits, T, fetch_or)                                                                      \
    UPDATE(bits, T, fetch_xor)                                                                     \
    UPDATE(bits, T, fetch_nand)
ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)
#undef ATOMICS
#undef UPDATE
#undef CHECK_ATOMIC

HOOK void __tsan_atomic_thread_fence(int) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
HOOK void __tsan_atomic_signal_fence(int) {}

// Undefined behaviour. The first argument holds file and line of the innermost source line, which may be the shim's;
// the return address leads to the kernel's.

HOOK void __ubsan_handle_type_mismatch_v1(void*, uintptr_t address) {
    if (checkHooks) checkHooks->undefined(Undefined::misaligned, address, CALLER_PC);
}

HOOK void __ubsan_handle_out_of_bounds(void*, uintptr_t index) {
    if (checkHooks) checkHooks->undefined(Undefined::arrayIndex, index, CALLER_PC);
}

HOOK void __ubsan_handle_divrem_overflow(void*, uintptr_t, uintptr_t) {
    if (checkHooks) checkHooks->undefined(Undefined::division, 0, CALLER_PC);
}

HOOK void __ubsan_handle_shift_out_of_bounds(void*, uintptr_t, uintptr_t amount) {
    if (checkHooks) checkHooks->undefined(Undefined::shift, amount, CALLER_PC);
}

// Arithmetic: flops.go of metal/sim puts calls of this into a kernel's basic blocks.

HOOK void metalrank_flops(uint64_t count) {
    if (checkHooks) checkHooks->flops(count);
}

// Hooks that do nothing.

HOOK void __tsan_init() {}
HOOK void __tsan_func_entry(void*) {}
HOOK void __tsan_func_exit() {}
HOOK void __tsan_vptr_read(void**) {}
HOOK void __tsan_vptr_update(void**, void*) {}

} // namespace sim
