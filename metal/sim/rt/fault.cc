// fault.cc: a kernel that touches memory that isn't there, divides by zero or runs off its stack ends its dispatch, not
// the process. Handlers are chained: other faults go to the previous handler, that of Go's runtime.
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1
#endif
#include "fiber.h"
#include "runtime.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#if defined(__APPLE__)
#include <sys/ucontext.h> // Apple's <ucontext.h> is an error without _XOPEN_SOURCE
#else
#include <ucontext.h>
#endif

namespace sim {
namespace {

constexpr int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
constexpr int faultCount = sizeof faults / sizeof *faults;
struct sigaction previous[faultCount];

// programCounter returns the address at which the thread was.
uintptr_t programCounter(void* context) {
    auto* machine = &static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__linux__) && defined(__x86_64__)
    return static_cast<uintptr_t>(machine->gregs[REG_RIP]);
#elif defined(__linux__) && defined(__aarch64__)
    return machine->pc;
#elif defined(__APPLE__) && defined(__x86_64__)
    return (*machine)->__ss.__rip;
#else
    return __darwin_arm_thread_state64_get_pc((*machine)->__ss);
#endif
}

// leave makes the thread continue at enterStack(stack) when the handler returns.
void leave(void* context, void* stack) {
    auto* machine = &static_cast<ucontext_t*>(context)->uc_mcontext;
    auto target = reinterpret_cast<uintptr_t>(&enterStack);
    auto argument = reinterpret_cast<uintptr_t>(stack);
#if defined(__linux__) && defined(__x86_64__)
    machine->gregs[REG_RIP] = static_cast<long long>(target);
    machine->gregs[REG_RDI] = static_cast<long long>(argument);
#elif defined(__linux__) && defined(__aarch64__)
    machine->pc = target;
    machine->regs[0] = argument;
#elif defined(__APPLE__) && defined(__x86_64__)
    (*machine)->__ss.__rip = target;
    (*machine)->__ss.__rdi = argument;
#elif defined(__APPLE__) && defined(__aarch64__)
    __darwin_arm_thread_state64_set_pc_fptr((*machine)->__ss, reinterpret_cast<void*>(target));
    (*machine)->__ss.__x[0] = argument;
#else
#error "the simulator cannot recover from faults on this system"
#endif
}

// describe fills in the kind, the message and the address of a finding.
void describe(const Runner* r, int signal, uintptr_t address, rtFinding* finding) {
    const char* kind = "fault";
    char* text = finding->message;
    size_t size = sizeof finding->message;
    uintptr_t region = reinterpret_cast<uintptr_t>(r->device->region);
    uintptr_t stacks = reinterpret_cast<uintptr_t>(r->stacks);
    if (signal == SIGFPE) {
        kind = "division by zero";
        snprintf(text, size, "an integer was divided by zero");
    } else if (signal != SIGSEGV && signal != SIGBUS && r->device->checked) {
        kind =
            "array index"; // clang's local-bounds check, of accesses through pointers, ends in a trap
        snprintf(text, size, "an access outside a variable of the thread's own");
    } else if (signal != SIGSEGV && signal != SIGBUS) {
        snprintf(
            text, size, "the kernel reached what its compiler took for impossible (signal %d)",
            signal
        );
    } else if (address - region < r->device->regionSize) {
        kind = "out of bounds";
        snprintf(
            text, size, "address 0x%lx lies outside every buffer",
            static_cast<unsigned long>(address)
        );
    } else if (address - stacks < stackSize * maxThreads) {
        kind = "stack overflow";
        snprintf(
            text, size, "a thread needs more than %lu KB of its own memory",
            static_cast<unsigned long>(stackSize >> 10)
        );
    } else if (address < 4096) {
        kind = "unset buffer";
        snprintf(
            text, size,
            "access through a null pointer, offset %lu: a buffer index that was not set?",
            static_cast<unsigned long>(address)
        );
    } else {
        snprintf(text, size, "access to address 0x%lx", static_cast<unsigned long>(address));
    }
    snprintf(finding->kind, sizeof finding->kind, "%s", kind);
    finding->address = address;
}

void handle(int signal, siginfo_t* info, void* context) {
    Runner* r = runner();
    if (r && r->current) {
        rtFinding finding{};
        finding.buffer = -2; // none
        describe(r, signal, reinterpret_cast<uintptr_t>(info->si_addr), &finding);
        finding.pc = programCounter(context) - r->dispatch->library->image;
        failInHandler(r, finding);
        leave(context, r->schedulerStack);
        return;
    }
    for (int i = 0; i < faultCount; i++) {
        if (faults[i] != signal) continue;
        struct sigaction& old = previous[i];
        if (old.sa_flags & SA_SIGINFO) return old.sa_sigaction(signal, info, context);
        if (old.sa_handler == SIG_IGN) return;
        if (old.sa_handler != SIG_DFL) return old.sa_handler(signal);
        sigaction(signal, &old, nullptr); // and let it happen again
    }
}

} // namespace

void installFaultHandlers() {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, [] {
        for (int i = 0; i < faultCount; i++) {
            struct sigaction action{};
            action.sa_sigaction = handle;
            // SA_ONSTACK: Go's threads have small stacks, and a fiber may have run off its own.
            action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
            sigemptyset(&action.sa_mask);
            sigaction(faults[i], &action, &previous[i]);
        }
    });
}

void useSignalStack(uint8_t* stack, size_t size) {
    stack_t alternate{};
    alternate.ss_sp = stack;
    alternate.ss_size = size;
    sigaltstack(&alternate, nullptr);
    sigset_t mask; // signals of Go's runtime are for Go's threads
    sigfillset(&mask);
    for (int fault : faults)
        sigdelset(&mask, fault);
    pthread_sigmask(SIG_SETMASK, &mask, nullptr);
}

} // namespace sim
