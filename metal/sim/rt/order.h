// order.h: whether the kernel orders two accesses to the same byte.
//
// The clock moves on at each event that orders accesses: a new interval (a list, or a command after a Barrier), a new
// threadgroup, a barrier. An access carries the clock of its time. An earlier access is ordered with it exactly when an
// event that concerns both has moved the clock between them:
//
//   other dispatch, or other group   the start of an interval
//   other simdgroup of the group     a threadgroup_barrier that names the memory's kind
//   other lane of the simdgroup      that, or a simdgroup_barrier; lockstep is not assumed
//   same thread                      nothing is needed
#pragma once

#include "abi.h"
#include "shadow.h"

namespace sim {

// MemoryKind is a kind of memory that a barrier's mem_flags can name.
enum MemoryKind : uint32_t { deviceMemory, threadgroupMemory, memoryKinds };

// Access is one read or write while it is judged.
struct Access {
    MemoryKind kind;
    uint32_t thread; // in its group
    uint32_t pc;     // offset into the image
    bool atomic;
};

class Order {
public:
    uint32_t now() const { return clock; }
    // groupStart: an access with an earlier clock is not this group's.
    uint32_t groupStart() const { return group; }

    void beginInterval() { interval = ++clock; }
    void beginGroup() { group = ++clock; }
    // A barrier that concerns no kind of memory orders nothing.
    void threadgroupBarrier(bool device, bool threadgroup) {
        clock++;
        if (device) groupBarrier[deviceMemory] = clock;
        if (threadgroup) groupBarrier[threadgroupMemory] = clock;
        lastBarrier = clock;
    }
    void simdgroupBarrier(uint32_t simdgroup, bool device, bool threadgroup) {
        clock++;
        if (device) laneBarrier[deviceMemory][simdgroup] = clock;
        if (threadgroup) laneBarrier[threadgroupMemory][simdgroup] = clock;
    }
    // nearlyExhausted says that restart must be called between two dispatches, after the shadow was forgotten.
    bool nearlyExhausted() const { return clock >> 31; }
    void restart() { *this = Order(); }
    // barrierSince says that the group has met at a threadgroup_barrier since, for any kind of memory.
    bool barrierSince(uint32_t then) const { return then >= group && then < lastBarrier; }

    // racesWithWrite says that a is unordered with the last write of a cell that was not atomic,
    bool racesWithWrite(const Cell& cell, const Access& a) const {
        return unordered(cell.writeClock, cell.writer, a);
    }
    // racesWithAtomic with the last atomic one,
    bool racesWithAtomic(const Cell& cell, const Access& a) const {
        return !a.atomic && unordered(cell.atomicClock, cell.updater, a);
    }
    // racesWithReaders, a being a write, with some read.
    bool racesWithReaders(const Cell& cell, const Access& a) const {
        if (cell.readClock < start(a.kind)) return false;
        if (cell.readClock < group || cell.flags & manyGroups) return true;
        if (cell.readClock < groupBarrier[a.kind]) return false;
        if (cell.flags & manySimdgroups || !sameSimdgroup(cell.reader, a.thread)) return true;
        if (cell.readClock < barrier(a)) return false;
        return cell.flags & manyLanes || cell.reader != a.thread;
    }

    // write makes a the last write of a cell. All accesses before a plain write are ordered with it, or have been
    // reported: they are forgotten. Those before an atomic write are kept: the next atomic one need not be ordered with
    // it. Not found: a race with an atomic write that another atomic write has followed, or with an atomic read.
    void write(Cell& cell, const Access& a) const {
        if (a.atomic) {
            cell.atomicClock = clock;
            cell.updater = static_cast<uint16_t>(a.thread);
            cell.atomicPc = a.pc;
            return;
        }
        cell.writeClock = clock;
        cell.writer = static_cast<uint16_t>(a.thread);
        cell.writePc = a.pc;
        cell.readClock = cell.atomicClock = 0;
        cell.flags &= static_cast<uint16_t>(~readerFlags);
    }

    // read adds a to the readers of a cell. The flags keep how far from a the earlier, unordered readers are: other lanes,
    // other simdgroups or other groups.
    void read(Cell& cell, const Access& a) const {
        if (a.atomic) return;
        uint32_t flags = cell.flags;
        if (cell.readClock < start(a.kind)) {
            flags &= ~uint32_t{readerFlags};
        } else if (cell.readClock < group) {
            flags = (flags & ~uint32_t{manyLanes | manySimdgroups}) | manyGroups;
        } else if (cell.readClock < groupBarrier[a.kind]) {
            flags &= ~uint32_t{manyLanes | manySimdgroups};
        } else if (!sameSimdgroup(cell.reader, a.thread)) {
            flags |= manySimdgroups;
        } else if (cell.readClock < barrier(a)) {
            flags &= ~uint32_t{manyLanes};
        } else if (cell.reader != a.thread) {
            flags |= manyLanes;
        }
        cell.flags = static_cast<uint16_t>(flags);
        cell.readClock = clock;
        cell.reader = static_cast<uint16_t>(a.thread);
        cell.readPc = a.pc;
    }

private:
    static bool sameSimdgroup(uint32_t a, uint32_t b) {
        return a / lanesPerSimdgroup == b / lanesPerSimdgroup;
    }
    bool unordered(uint32_t then, uint32_t thread, const Access& a) const {
        if (then < start(a.kind)) return false;
        if (then < group) return true;
        if (thread == a.thread || then < groupBarrier[a.kind]) return false;
        return !sameSimdgroup(thread, a.thread) || then >= barrier(a);
    }
    // start is the first clock of accesses that may be unordered with a new one; threadgroup memory lives for one group.
    uint32_t start(MemoryKind kind) const { return kind == threadgroupMemory ? group : interval; }
    // barrier is the clock of the last simdgroup_barrier of the accessing lane's simdgroup.
    uint32_t barrier(const Access& a) const {
        return laneBarrier[a.kind][a.thread / lanesPerSimdgroup];
    }

    uint32_t clock = 1; // 0 is never
    uint32_t interval = 1, group = 1;
    uint32_t lastBarrier = 0;
    uint32_t groupBarrier[memoryKinds] = {};
    uint32_t laneBarrier[memoryKinds][maxSimdgroups] = {};
};

} // namespace sim
