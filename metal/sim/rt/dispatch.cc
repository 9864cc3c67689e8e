// dispatch.cc: the workers, and how a dispatch's threadgroups are shared out among them.
#include "runtime.h"
#include "fiber.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

namespace sim {
namespace {

constexpr size_t signalStackSize = 64 << 10; // bytes

__thread Runner* self __attribute__((tls_model("initial-exec")));

uint64_t nanoseconds() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1000000000 + static_cast<uint64_t>(t.tv_nsec);
}

// shuffled maps 0…count-1 onto itself, one to one: multiplication by a number that has no factor in common with count.
uint64_t shuffled(uint64_t i, uint64_t count, uint64_t seed) {
    uint64_t factor = seed % count | 1;
    for (;; factor += 2) {
        uint64_t a = factor, b = count;
        while (b != 0) {
            uint64_t rest = a % b;
            a = b, b = rest;
        }
        if (a == 1) break;
    }
    using wide = unsigned __int128;
    return static_cast<uint64_t>((static_cast<wide>(i) * factor + seed) % count);
}

// work runs threadgroups of the device's dispatch until none is left.
void work(Runner* r, Dispatch* d) {
    r->dispatch = d;
    r->counters = Counters{};
    uint64_t seed = d->device->seed == 0 ? 0 : (d->device->seed + d->index) * 0x9E3779B97F4A7C15ull;
    prepareGroups(r);
    while (!__atomic_load_n(&d->stop, __ATOMIC_RELAXED)) {
        uint64_t i = __atomic_fetch_add(&d->nextGroup, 1, __ATOMIC_RELAXED);
        if (i >= d->groupCount) break;
        if (seed != 0) {
            i = shuffled(i, d->groupCount, seed);
            // A seed for every group: it must not depend on the worker that runs the group.
            r->random = (seed ^ i * 0xD1B54A32D192ED03ull) | 1;
        } else {
            r->random = 0;
        }
        const uint32_t* groups = d->command->groups;
        r->linearGroup = static_cast<uint32_t>(i);
        r->group[0] = static_cast<uint32_t>(i % groups[0]);
        r->group[1] = static_cast<uint32_t>(i / groups[0] % groups[1]);
        r->group[2] = static_cast<uint32_t>(i / groups[0] / groups[1]);
        runGroup(r);
    }
    r->dispatch = nullptr;
}

// workerMain waits for dispatches.
void* workerMain(void* argument) {
    Runner* r = static_cast<Runner*>(argument);
    Device* device = r->device;
    self = r;
    useSignalStack(r->alternate, signalStackSize);
    uint64_t done = 0;
    pthread_mutex_lock(&device->mu);
    for (;;) {
        while (!device->closing && device->generation == done)
            pthread_cond_wait(&device->work, & device->mu);
        if (device->closing) break;
        done = device->generation;
        Dispatch* d = device->dispatch;
        pthread_mutex_unlock(&device->mu);
        work(r, d);
        pthread_mutex_lock(&device->mu);
        uint64_t* total = d->report->counters;
        const uint64_t* mine = reinterpret_cast<const uint64_t*>(&r->counters);
        for (int i = 0; i < rtCounterCount; i++)
            total[i] += mine[i];
        if (--device->busy == 0) pthread_cond_signal(&device->idle);
    }
    pthread_mutex_unlock(&device->mu);
    return nullptr;
}

uint8_t* reserve(size_t size, int protection) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void* p = mmap(nullptr, size, protection, flags, -1, 0);
    return p == MAP_FAILED ? nullptr : static_cast<uint8_t*>(p);
}

} // namespace

static_assert(sizeof(Counters) == rtCounterCount * sizeof(uint64_t));
static_assert(sizeof(Binding) == sizeof(rtBinding));

Runner* runner() {
    return self;
}

void failInHandler(Runner* r, rtFinding finding) {
    if (r->current) finding.thread = r->current->thread;
    memcpy(finding.group, r->group, sizeof finding.group);
    Dispatch* d = r->dispatch;
    pthread_mutex_lock(&r->device->mu);
    rtReport* report = d->report;
    if (!report->failed) { // findings[0] is the first reason
        report->failed = 1;
        if (report->findingCount < rtMaxFindings)
            report->findings[report->findingCount] = report->findings[0];
        report->findingCount++;
        finding.count = 1;
        report->findings[0] = finding;
    }
    pthread_mutex_unlock(&r->device->mu);
    __atomic_store_n(&d->stop, true, __ATOMIC_RELAXED);
    r->failed = true;
}

void abandon(Runner* r, const rtFinding& finding) {
    failInHandler(r, finding);
    enterStack(r->schedulerStack);
}

void fail(Runner* r, const char* kind, const char* message, Position at) {
    rtFinding finding{};
    finding.buffer = -2; // none
    strncpy(finding.kind, kind, sizeof finding.kind - 1);
    strncpy(finding.message, message, sizeof finding.message - 1);
    if (at.file) strncpy(finding.file, at.file, sizeof finding.file - 1);
    finding.line = at.line;
    abandon(r, finding);
}

bool startRunner(Device* device, Runner* r) {
    r->device = device;
    size_t stacks = stackSize * maxThreads;
    uint8_t* mapped = reserve(stacks + stackSize, PROT_READ | PROT_WRITE);
    r->threadgroupMemory = reserve(threadgroupRegion + (64 << 10), PROT_READ | PROT_WRITE);
    r->alternate = static_cast<uint8_t*>(malloc(signalStackSize));
    if (!mapped || !r->threadgroupMemory || !r->alternate) return false;
    if (posix_memalign(
            reinterpret_cast<void**>(&r->simdgroups), 64, sizeof(Simdgroup) * maxSimdgroups
        ) != 0)
        return false;
    memset(static_cast<void*>(r->simdgroups), 0, sizeof(Simdgroup) * maxSimdgroups);
    r->stacks = mapped + (stackSize - reinterpret_cast<uintptr_t>(mapped) % stackSize) % stackSize;
    size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    for (uint32_t i = 0; i < maxThreads; i++)
        mprotect(r->stacks + stackSize * i, page, PROT_NONE);
    mprotect(r->threadgroupMemory + threadgroupRegion, 64 << 10, PROT_NONE);
    r->mapped = mapped;
    return pthread_create(&r->thread, nullptr, workerMain, r) == 0;
}

void stopRunner(Runner* r) {
    munmap(r->mapped, stackSize * (maxThreads + 1));
    munmap(r->threadgroupMemory, threadgroupRegion + (64 << 10));
    free(r->alternate);
    free(r->simdgroups);
}

void runDispatch(Device* device, Dispatch* d) {
    d->report->startNs = nanoseconds();
    pthread_mutex_lock(&device->mu);
    device->dispatch = d;
    device->busy = device->runnerCount;
    device->generation++;
    pthread_cond_broadcast(&device->work);
    while (device->busy != 0)
        pthread_cond_wait(&device->idle, & device->mu);
    pthread_mutex_unlock(&device->mu);
    d->report->endNs = nanoseconds();
}

} // namespace sim
