// library.cc: loaded kernel objects: the layout of threadgroup variables, and the function constants, which are global
// variables of the object.
#include "library.h"

#include <dlfcn.h>
#include <string.h>

namespace sim {
namespace {

// Function constants are set for one dispatch at a time; two devices may share one object.
pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t unlocked = PTHREAD_COND_INITIALIZER;

constexpr uint32_t aligned(uint32_t size, uint32_t align = 16) {
    return (size + align - 1) / align * align;
}

// layOut gives every threadgroup variable of a kernel its place. In checked mode that is aligned no better than the kernel asks
// for, so that the reads of a vector that relies on more are found.
void layOut(Kernel* kernel, bool checked) {
    kernel->threadgroupBytes = kernel->threadgroupEnd = 0;
    for (ThreadgroupVariable* v = * kernel->variables; v; v = v->next) {
        v->offset = aligned(kernel->threadgroupEnd, v->align < 16 ? 16 : v->align);
        if (checked && v->align < 16) v->offset += v->align;
        kernel->threadgroupBytes += aligned(v->size);
        kernel->threadgroupEnd = aligned(v->offset + v->size) + threadgroupGap;
    }
}

void compute(Derived* d) {
    if (!d) return;
    compute(d->next); // it was declared before
    d->compute();
}

} // namespace

const char* prepare(Library* library, bool checked) {
    if (library->abi != abiVersion)
        return "the object was built for another version of the runtime";
    if (library->checked != checked) return "the object was built for another mode";
    pthread_mutex_lock(&mu);
    *library->runtime = &plainRuntime;
    if (checked) *library->check = checkTable();
    for (Kernel* k = *library->kernels; k; k = k->next)
        layOut(k, checked);
    Dl_info info;
    if (dladdr(library, &info) != 0) library->image = reinterpret_cast<uintptr_t>(info.dli_fbase);
    pthread_mutex_unlock(&mu);
    return nullptr;
}

void lock(Library* library, const rtConstant* constants, uint64_t count) {
    pthread_mutex_lock(&mu);
    while (library->lock != 0)
        pthread_cond_wait(&unlocked, &mu);
    library->lock = 1;
    pthread_mutex_unlock(&mu);
    for (FunctionConstant* c = *library->constants; c; c = c->next) {
        memset(c->value, 0, c->size);
        c->defined = false;
        for (uint64_t i = 0; i < count; i++) {
            if (constants[i].index != c->index) continue;
            memcpy(
                c->value, &constants[i].bits,
                c->size < sizeof constants[i].bits ? c->size : sizeof constants[i].bits
            );
            c->defined = true;
        }
    }
    compute(*library->derived);
}

void unlock(Library* library) {
    pthread_mutex_lock(&mu);
    library->lock = 0;
    pthread_cond_broadcast(&unlocked);
    pthread_mutex_unlock(&mu);
}

} // namespace sim
