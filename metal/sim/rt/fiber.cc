// fiber.cc: the switch, for x86-64 (System V ABI) and arm64 (AAPCS64). It ends in `ret`, so the processor predicts where
// a switch goes about as well as it predicts a return.
#include "fiber.h"

#if defined(__x86_64__)

__asm__(R"(
.text
.globl sim_switch_stack
.globl sim_enter_stack
sim_switch_stack:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rdi
sim_enter_stack:
    movq %rdi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");

void* sim::newStack(void* top, void (*main)()) {
    void** sp = static_cast<void**>(top); // 16-byte aligned
    *--sp = nullptr;                      // as if main had been called: a return address, and
    *--sp = reinterpret_cast<void*>(main);
    for (int i = 0; i < 6; i++)
        *--sp = nullptr;
    return sp;
}

#elif defined(__aarch64__)

__asm__(R"(
.text
.globl sim_switch_stack
.globl sim_enter_stack
.p2align 2
sim_switch_stack:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov x0, x1
sim_enter_stack:
    mov sp, x0
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
)");

void* sim::newStack(void* top, void (*main)()) {
    void** sp = static_cast<void**>(top) - 20;
    for (int i = 0; i < 20; i++)
        sp[i] = nullptr;
    sp[11] = reinterpret_cast<void*>(main); // x30, where ret goes
    return sp;
}

#else
#error "the simulator has no stack switch for this processor"
#endif
