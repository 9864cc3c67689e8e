// group.cc: one threadgroup. Its threads are fibers of one host thread. A fiber runs until it needs the others: at a
// collective or a barrier it switches to the next lane of its simdgroup. When no lane of the simdgroup can go on, the
// scheduler takes the next simdgroup.
#include "fiber.h"
#include "runtime.h"

#include <string.h>

namespace sim {
namespace {

// xorshift64*; Marsaglia, "Xorshift RNGs", 2003, with Vigna's multiplier.
uint32_t random(Runner* r) {
    r->random ^= r->random >> 12;
    r->random ^= r->random << 25;
    r->random ^= r->random >> 27;
    return static_cast<uint32_t>(r->random * 0x2545F4914F6CDD1Dull >> 32);
}

// pick chooses a lane of a mask that isn't empty: the next one after `after` in a circle, or any.
uint32_t pick(Runner* r, uint32_t mask, uint32_t after) {
    if (r->random != 0) {
        for (uint32_t skip = random(r) % static_cast<uint32_t>(__builtin_popcount(mask)); skip > 0;
             skip--)
            mask &= mask - 1;
        return static_cast<uint32_t>(__builtin_ctz(mask));
    }
    uint32_t later = mask & ~((2u << after) - 1);
    return static_cast<uint32_t>(__builtin_ctz(later ? later : mask));
}

Runner* runnerOf(const Lane* lane) {
    return static_cast<Runner*>(lane->worker);
}

// yield lets another lane of the simdgroup run, or the scheduler.
void yield(Lane* lane) {
    Runner* r = runnerOf(lane);
    Simdgroup* g = lane->simdgroup;
    if (g->runnable == 0) {
        switchStack(&lane->sp, r->schedulerStack);
        return;
    }
    Lane* next = g->lanes[pick(r, g->runnable, lane->lane)];
    r->current = next;
    switchStack(&lane->sp, next->sp);
}

void threadgroupBarrier(Lane* lane, uint32_t flags, Position here) {
    Simdgroup* g = lane->simdgroup;
    uint32_t bit = 1u << lane->lane;
    if (g->atBarrier == 0) {
        g->barrierAt = here;
        g->barrierFlags = flags;
    } else if (g->barrierAt.line != here.line) {
        fail(
            runnerOf(lane), "divergence", "lanes of one simdgroup wait at different barriers", here
        );
    }
    g->atBarrier |= bit;
    g->runnable &= ~bit;
    yield(lane);
}

void passSimdgroupBarrier(Simdgroup* g) {
    Runner* r = static_cast<Runner*>(g->worker);
    r->counters.simdgroupBarriers++;
    if (r->device->checked) checkSimdgroupBarrier(r, g, g->parameter[__builtin_ctz(g->atOp)]);
}

void simdgroupBarrier(Lane* lane, uint32_t flags, Position here) {
    Simdgroup* g = lane->simdgroup;
    if (g->atOp == 0) {
        g->op = passSimdgroupBarrier;
        g->opAt = here;
    } else if (g->op != passSimdgroupBarrier || g->opAt.line != here.line) {
        fail(
            runnerOf(lane), "divergence",
            "lanes of one simdgroup are at different SIMD-group functions", here
        );
    }
    g->parameter[lane->lane] = flags;
    g->atOp |= 1u << lane->lane;
    g->runnable &= ~(1u << lane->lane);
    if (g->atOp == g->live) {
        passSimdgroupBarrier(g);
        g->runnable = g->live;
        g->atOp = 0;
    } else {
        yield(lane);
    }
}

void failAt(Lane* lane, const char* what, Position here) {
    fail(runnerOf(lane), "divergence", what, here);
}

// laneMain is a fiber's main function.
void laneMain() {
    Lane* lane = currentLane();
    Runner* r = runnerOf(lane);
    r->dispatch->kernel->run(lane);
    Simdgroup* g = lane->simdgroup;
    g->live &= ~(1u << lane->lane);
    g->runnable &= ~(1u << lane->lane);
    r->finished++;
    if (g->runnable == 0) enterStack(r->schedulerStack);
    Lane* next = g->lanes[pick(r, g->runnable, lane->lane)];
    r->current = next;
    enterStack(next->sp);
}

// resume runs a simdgroup until none of its lanes can go on; false: the group failed.
bool resume(Runner* r, Simdgroup* g) {
    while (g->runnable != 0) {
        r->current = g->lanes[pick(r, g->runnable, lanesPerSimdgroup - 1)];
        switchStack(&r->schedulerStack, r->current->sp);
        if (r->failed) return false;
        if (g->runnable == 0 &&
            g->atOp != 0) { // the lanes that are missing have returned, or wait elsewhere
            if (g->atBarrier != 0) {
                r->current = g->lanes[__builtin_ctz(g->atOp)];
                rtFinding finding{};
                finding.buffer = -2; // none
                strcpy(finding.kind, "divergence");
                strcpy(
                    finding.message,
                    "some lanes wait at a SIMD-group function, others at a threadgroup_barrier"
                );
                strncpy(finding.file, g->opAt.file, sizeof finding.file - 1);
                finding.line = g->opAt.line;
                failInHandler(r, finding);
                return false;
            }
            r->current = g->lanes[__builtin_ctz(g->atOp)];
            g->op(g);
            if (g->op != passSimdgroupBarrier) r->counters.simdgroupOperations++;
            g->runnable = g->atOp;
            g->atOp = 0;
        }
    }
    return true;
}

// passBarrier lets the threadgroup go on when all its threads have arrived; false: the group failed.
bool passBarrier(Runner* r) {
    Simdgroup* first = nullptr;
    uint32_t arrived = 0;
    const char* wrong = nullptr;
    Simdgroup* at = nullptr;
    for (uint32_t i = 0; i < r->simdgroupCount; i++) {
        Simdgroup* g = &r->simdgroups[i];
        if (g->atBarrier == 0) continue;
        arrived += static_cast<uint32_t>(__builtin_popcount(g->atBarrier));
        if (!first) first = g;
        if (g->barrierAt.line != first->barrierAt.line)
            wrong = "simdgroups of one threadgroup wait at different barriers", at = g;
    }
    // Hardware lets the rest pass when threads have returned; Metal's specification does not promise it.
    if (!wrong && arrived != r->threadCount && r->device->checked) {
        wrong = "threads of the threadgroup returned without reaching this barrier", at = first;
    }
    if (wrong) {
        r->current = at->lanes[__builtin_ctz(at->atBarrier)];
        rtFinding finding{};
        finding.buffer = -2; // none
        strcpy(finding.kind, "divergence");
        strncpy(finding.message, wrong, sizeof finding.message - 1);
        strncpy(finding.file, at->barrierAt.file, sizeof finding.file - 1);
        finding.line = at->barrierAt.line;
        failInHandler(r, finding);
        return false;
    }
    r->counters.threadgroupBarriers++;
    if (r->device->checked) checkThreadgroupBarrier(r, first->barrierFlags);
    for (uint32_t i = 0; i < r->simdgroupCount; i++) {
        Simdgroup* g = &r->simdgroups[i];
        g->runnable = g->atBarrier;
        g->atBarrier = 0;
    }
    return true;
}

// stackTop is the start of a lane's stack: its offset differs from lane to lane, so that stacks do not share cache sets.
uint8_t* stackTop(Runner* r, uint32_t thread) {
    return r->stacks + stackSize * (thread + 1) - laneRegion - (thread * 5 % 32) * 320;
}

} // namespace

const Runtime plainRuntime = {yield, threadgroupBarrier, simdgroupBarrier, failAt};

void prepareGroups(Runner* r) {
    const rtCommand* c = r->dispatch->command;
    memcpy(r->grid.groups, c->groups, sizeof r->grid.groups);
    memcpy(r->grid.threads, c->threads, sizeof r->grid.threads);
    const uint32_t* size = c->threads;
    r->threadCount = size[0] * size[1] * size[2];
    r->simdgroupCount = (r->threadCount + lanesPerSimdgroup - 1) / lanesPerSimdgroup;
    r->bindings = reinterpret_cast<const Binding*>(c->buffers);
    uint32_t end = r->dispatch->kernel->threadgroupEnd;
    for (uint32_t i = 0; i < maxThreadgroupArguments; i++) {
        r->threadgroupArguments[i] = end;
        if (c->threadgroupMemory[i] != 0) end += c->threadgroupMemory[i] + threadgroupGap;
    }
    r->threadgroupUsed = end;
    for (uint32_t i = 0; i < r->threadCount; i++) {
        uint8_t* inside = r->stacks + stackSize * i;
        uintptr_t colour =
            reinterpret_cast<uintptr_t>(inside) / stackSize % 16 * 256; // as currentLane has it
        Lane* lane = reinterpret_cast<Lane*>(inside + stackSize - laneRegion + colour);
        Simdgroup* g = &r->simdgroups[i / lanesPerSimdgroup];
        *lane = Lane{nullptr, g,
                     r,       i % lanesPerSimdgroup,
                     i,       {i % size[0], i / size[0] % size[1], i / size[0] / size[1]}};
        r->lanes[i] = lane;
        g->lanes[lane->lane] = lane;
        g->index = i / lanesPerSimdgroup;
        g->worker = r;
    }
}

void runGroup(Runner* r) {
    r->finished = 0;
    r->failed = false;
    for (uint32_t i = 0; i < r->simdgroupCount; i++) {
        uint32_t lanes = r->threadCount - i * lanesPerSimdgroup;
        Simdgroup* g = &r->simdgroups[i];
        g->live = g->runnable = lanes >= lanesPerSimdgroup ? ~0u : (1u << lanes) - 1;
        g->atOp = g->atBarrier = 0;
    }
    for (uint32_t i = 0; i < r->threadCount; i++)
        r->lanes[i]->sp = newStack(stackTop(r, i), laneMain);
    if (!r->device->checked)
        memset(r->threadgroupMemory, 0xFF, r->threadgroupUsed); // reads as NaN until written
    else
        checkBeginGroup(r);
    for (ThreadgroupVariable* v = *r->dispatch->kernel->variables; v; v = v->next) {
        if (v->zeroed) memset(r->threadgroupMemory + v->offset, 0, v->size);
    }
    uint32_t order[maxSimdgroups];
    for (uint32_t i = 0; i < r->simdgroupCount; i++)
        order[i] = i;
    for (;;) {
        for (uint32_t i = r->simdgroupCount; r->random != 0 && i > 1; i--) {
            uint32_t j = random(r) % i, swapped = order[i - 1];
            order[i - 1] = order[j];
            order[j] = swapped;
        }
        for (uint32_t i = 0; i < r->simdgroupCount && !r->failed; i++)
            resume(r, &r->simdgroups[order[i]]);
        if (r->failed || r->finished == r->threadCount || !passBarrier(r)) break;
    }
    r->current = nullptr;
    r->counters.threadgroups++;
    r->counters.threads += r->threadCount;
    if (r->device->checked) checkEndGroup(r);
}

} // namespace sim
