// barrier.h: barriers, and the rendezvous of a simdgroup's lanes that simd.h and matrix.h use.
#pragma once

namespace sim::shim {

// Set by the runtime when it loads the library.
inline __attribute__((visibility("hidden"))) const Runtime* runtime;

// SIM_HERE is a default argument: the place where the kernel calls the function that has it.
#define SIM_HERE                                                                                   \
    sim::Position here = sim::Position {                                                           \
        __builtin_FILE(), __builtin_LINE()                                                         \
    }

// arrive posts the running lane at a collective. The last one of its simdgroup to arrive runs op for all.
SIM_INLINE void arrive(Lane* lane, void (*op)(Simdgroup*), Position here) {
    Simdgroup* group = lane->simdgroup;
    sim::uint32_t bit = 1u << lane->lane;
    if (group->atOp == 0) {
        group->op = op;
        group->opAt = here;
    } else if (__builtin_expect(group->op != op || group->opAt.line != here.line, 0)) {
        runtime->fail(lane, "lanes of one simdgroup are at different SIMD-group functions", here);
    }
    group->atOp |= bit;
    group->runnable &= ~bit;
    if (group->atOp == group->live) {
        op(group);
        group->worker->counters.simdgroupOperations++;
        group->runnable = group->live;
        group->atOp = 0;
    } else {
        runtime->waitForSimdgroup(lane);
    }
}

} // namespace sim::shim

namespace metal {

enum class mem_flags {
    mem_none = 0,
    mem_device = 1,
    mem_threadgroup = 2,
    mem_device_and_threadgroup = 3,
    mem_texture = 4,
    mem_threadgroup_imageblock = 8,
    mem_object_data = 16,
};
constexpr mem_flags operator|(mem_flags a, mem_flags b) {
    return mem_flags(int(a) | int(b));
}
constexpr mem_flags operator&(mem_flags a, mem_flags b) {
    return mem_flags(int(a) & int(b));
}

SIM_INLINE void threadgroup_barrier(mem_flags flags, SIM_HERE) {
    sim::shim::runtime->threadgroupBarrier(sim::currentLane(), sim::uint32_t(flags), here);
}
SIM_INLINE void simdgroup_barrier(mem_flags flags, SIM_HERE) {
    sim::shim::runtime->simdgroupBarrier(sim::currentLane(), sim::uint32_t(flags), here);
}

} // namespace metal
