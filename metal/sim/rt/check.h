// check.h: the checker of a device. Every access of a checked kernel goes through it.
#pragma once

#include "order.h"
#include "runtime.h"
#include "shadow.h"

namespace sim {

// Area is the kind of memory that a range is; the checks depend on it.
enum class Area : uint32_t {
    device,      // a buffer
    constant,    // a buffer that the kernel reads through a `constant` pointer
    arguments,   // argument bytes: the dispatch's own, never written
    threadgroup, // a threadgroup variable or argument
};

// Range is memory that a dispatch may access.
struct Range {
    uintptr_t begin, end;
    Area area;
    bool foreign;  // memory of the caller's: kernels may only read it, and its writes are not known
    int32_t index; // of the binding, or of the threadgroup argument; -1 for a threadgroup variable
    const ThreadgroupVariable* variable; // null for an argument
};

// Checker belongs to a device with one worker. It runs on that worker, or while the worker is idle; but forget may be
// called at any time.
class Checker {
public:
    explicit Checker(Device* device) : device(device) {}
    ~Checker();

    void beginInterval();
    void beginDispatch(Dispatch*);
    void endDispatch();
    void beginGroup();
    void forget(uintptr_t begin, size_t size) { shadow.forget(begin, size); }

    Order order;

    // The accesses (access.cc). A whole one is of an object; its padding need not be initialised.
    void read(uintptr_t address, size_t size, const void* pc, bool whole);
    void write(uintptr_t address, size_t size, const void* pc);
    void atomic(uintptr_t address, size_t size, AtomicKind, const void* pc);
    void undefined(Undefined, uintptr_t addressOrIndex, const void* pc);
    void transcendental() { worker().counters.transcendentals++; }
    void flops(uint64_t count) { worker().counters.flops += count; }

private:
    enum Mode { plainLoad, plainStore, atomicLoad, atomicStore };

    enum class Other { none, write, atomic, reads };

    // The faults of an access.
    struct Verdict {
        bool uninitialised = false;
        Other with = Other::none; // earlier accesses that it races with,
        Cell cell = {};           // and their history
        uint64_t fresh = 0;       // bytes not yet read, or written, in this dispatch
    };

    template <Mode mode>
    void access(uintptr_t address, size_t size, const void* pc, bool whole);
    template <Mode mode>
    Verdict judge(uintptr_t address, size_t size, const Access&, bool whole);
    template <Mode mode>
    void judgeCell(Cell&, size_t bytes, const Access&, Verdict&);
    template <Mode mode>
    void count(const Range&, size_t size, uint64_t fresh);

    Runner& worker() const { return device->runners[0]; }

    const Range* find(uintptr_t address, size_t size);
    void setRanges();
    void setThreadgroupRanges();
    void setOwn();
    bool isOwn(uintptr_t address) const;
    uint32_t offset(const void* pc) const;

    // Findings (findings.cc): one for each kind and place, with a count.
    bool known(const char* kind, const void* pc); // and counts it if it is
    rtFinding finding(const char* kind, const void* pc, uintptr_t address) const;
    void keep(const rtFinding&);
    static void locate(rtFinding&, const Range&, uintptr_t address);
    [[noreturn]] void outOfBounds(uintptr_t address, size_t size, bool writes, const void* pc);
    [[noreturn]] void readOnly(const Range&, uintptr_t address, size_t size, const void* pc);
    void uninitialised(const Range&, uintptr_t address, size_t size, const void* pc);
    void race(const Range&, uintptr_t address, bool writes, const void* pc, const Verdict&);

    // Group is when a threadgroup ran, to find the threadgroup of an old access.
    struct Group {
        uint32_t clock, dispatch;
        uint64_t index; // in its dispatch, linear
    };
    void logGroup();
    Group groupAt(uint32_t clock) const; // clock must be of this interval

    static constexpr uint32_t mostVariables = maxThreadgroupMemory / 16; // each is 16-byte aligned
    static constexpr uint32_t mostRanges = maxBuffers + maxThreadgroupArguments + mostVariables;

    Device* device;
    Dispatch* dispatch = nullptr;
    Shadow shadow;
    uint32_t serial = 0; // of the dispatch

    Range ranges[mostRanges];
    uint32_t bindingCount = 0, rangeCount = 0;
    const Range* recent = nullptr; // the range of the last access
    bool overlapping = false;      // two bindings share memory: the first in order counts

    struct Own {
        uintptr_t begin, end;
    };
    Own own[8]; // other memory that kernels touch: stacks, images, the runtime's structures
    uint32_t ownCount = 0;
    uintptr_t imageBase = 0;

    Group* groups = nullptr; // of this interval
    size_t groupCount = 0, groupCapacity = 0;

    rtFinding found[rtMaxFindings];
    uint32_t foundCount = 0, dropped = 0;
};

} // namespace sim
