// conformance.metal: one small kernel for each thing that a driver can get wrong. None computes anything of use.
// Buffers: 0 arguments, where there are any; 1 output; 2 input
// Grid: any, as the suite asks; see the kernels
// Needs: buffers as long as the grid has threads, unless a kernel says otherwise
// Constants: 0 flag (bool)  1 signedValue (int)  2 unsignedValue (uint)  3 realValue (float)
//            4 optionalValue (uint), which may be unset

#include <metal_stdlib>
#include "conformance.h"
using namespace metal;

constant bool flag [[function_constant(0)]];
constant int signedValue [[function_constant(1)]];
constant uint unsignedValue [[function_constant(2)]];
constant float realValue [[function_constant(3)]];
constant uint optionalValue [[function_constant(4)]];
constant uint optionalOr7 = is_function_constant_defined(optionalValue) ? optionalValue : 7;

// Adds 1 to each byte.
kernel void increment(
    constant CountArgs& args [[buffer(0)]],
    device uchar* bytes [[buffer(1)]],
    uint i [[thread_position_in_grid]]
) {
    if (i < args.count) {
        bytes[i] += 1;
    }
}

// Copies bytes from one buffer to another, or to another offset in the same one.
kernel void copy(
    constant CountArgs& args [[buffer(0)]],
    device uchar* to [[buffer(1)]],
    device const uchar* from [[buffer(2)]],
    uint i [[thread_position_in_grid]]
) {
    if (i < args.count) {
        to[i] = from[i];
    }
}

// Copies its arguments, which are bytes here; one thread.
kernel void echo_arguments(
    constant uchar* arguments [[buffer(0)]],
    device uchar* to [[buffer(1)]],
    constant CountArgs& args [[buffer(2)]]
) {
    for (uint i = 0; i < args.count; i++) {
        to[i] = arguments[i];
    }
}

// The arguments at the highest index that a dispatch may use.
kernel void last_index(constant uint& value [[buffer(15)]], device uint* to [[buffer(14)]]) {
    to[0] = value;
}

// Writes the function constants.
kernel void constants(device ConstantsResult* to [[buffer(1)]]) {
    to->flag = flag ? 1 : 0;
    to->signedValue = signedValue;
    to->unsignedValue = unsignedValue;
    to->realValue = realValue;
}

// Writes a function constant, or 7 where it is unset.
kernel void optional_constant(device uint* to [[buffer(1)]]) {
    to[0] = optionalOr7;
}

// Writes each thread's place: its positions and sizes.
kernel void identify(
    device ThreadPlace* to [[buffer(1)]],
    uint3 inGrid [[thread_position_in_grid]],
    uint3 gridThreads [[threads_per_grid]],
    uint3 inGroup [[thread_position_in_threadgroup]],
    uint3 groupThreads [[threads_per_threadgroup]],
    uint3 group [[threadgroup_position_in_grid]],
    uint3 groups [[threadgroups_per_grid]],
    uint index [[thread_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint simdgroups [[simdgroups_per_threadgroup]],
    uint width [[threads_per_simdgroup]]
) {
    const uint i = (inGrid.z * gridThreads.y + inGrid.y) * gridThreads.x + inGrid.x;
    device ThreadPlace& place = to[i];
    place.visits += 1;
    for (uint axis = 0; axis < 3; axis++) {
        place.inGroup[axis] = inGroup[axis];
        place.groupThreads[axis] = groupThreads[axis];
        place.group[axis] = group[axis];
        place.groups[axis] = groups[axis];
    }
    place.index = index;
    place.lane = lane;
    place.simdgroup = simdgroup;
    place.simdgroups = simdgroups;
    place.width = width;
}

// values[i] = values[i] * factor + addend: such steps don't commute, so the order of dispatches shows.
kernel void advance(
    constant StepArgs& args [[buffer(0)]],
    device uint* values [[buffer(1)]],
    uint i [[thread_position_in_grid]]
) {
    if (i < args.count) {
        values[i] = values[i] * args.factor + args.addend;
    }
}

// Sums a whole array into each element of another: reads the writes of every thread of an earlier dispatch.
kernel void sum_of_all(
    constant CountArgs& args [[buffer(0)]],
    device uint* to [[buffer(1)]],
    device const uint* from [[buffer(2)]],
    uint i [[thread_position_in_grid]]
) {
    uint sum = 0;
    for (uint j = 0; j < args.count; j++) {
        sum += from[j];
    }
    if (i < args.count) {
        to[i] = sum;
    }
}

// Reverses a threadgroup's values by way of threadgroup memory: static, and by dispatch.
kernel void reverse_static(
    device uint* values [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint index [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]]
) {
    threadgroup uint shared[1024];
    shared[index] = values[i];
    // Every value is there before another thread reads it.
    threadgroup_barrier(mem_flags::mem_threadgroup);
    values[i] = shared[threads - 1 - index];
}

kernel void reverse_dynamic(
    device uint* values [[buffer(1)]],
    threadgroup uint* shared [[threadgroup(0)]],
    threadgroup uint* copies [[threadgroup(1)]],
    uint i [[thread_position_in_grid]],
    uint index [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]]
) {
    shared[index] = values[i];
    copies[index] = ~values[i];
    // Every value is there before another thread reads it.
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const uint other = threads - 1 - index;
    values[i] = shared[other] == ~copies[other] ? shared[other] : 0;
}

// Counts threads.
kernel void count_threads(device atomic_uint* counter [[buffer(1)]]) {
    atomic_fetch_add_explicit(counter, 1u, memory_order_relaxed);
}

// Takes a while: rounds of an xorshift generator per thread.
kernel void busy(
    constant StepArgs& args [[buffer(0)]],
    device uint* values [[buffer(1)]],
    uint i [[thread_position_in_grid]]
) {
    if (i >= args.count) {
        return;
    }
    uint value = values[i];
    for (uint round = 0; round < args.factor; round++) {
        value ^= value << 13;
        value ^= value >> 17;
        value ^= value << 5;
    }
    values[i] = value;
}
