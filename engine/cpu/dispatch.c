// dispatch.c: the variants by name, and the request to the system that one needs before it runs.
#define _GNU_SOURCE // for functions beyond ISO C
#include <string.h>

#include "kernels.h"
#include "dispatch.h"

static const struct kernels* const variants[] = {
#if defined(__x86_64__)
    &kernels_amx,      &kernels_avx512vnni, &kernels_avx512, &kernels_avxvnni, &kernels_avx2,
#elif defined(__aarch64__)
    &kernels_i8mm,
    &kernels_dotprod,
    &kernels_neon,
#endif
    &kernels_portable,
};

const struct kernels* find_kernels(const char* name) {
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++)
        if (strcmp(variants[i]->name, name) == 0) return variants[i];
    return NULL;
}

#if defined(__linux__) && defined(__x86_64__)

#include <sys/syscall.h>
#include <unistd.h>

// Linux saves the tile registers only for a process that has asked to use them (Documentation/arch/x86/xstate.rst).
int request_tiles(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

#else

int request_tiles(void) {
    return 0;
}

#endif
