// findings.cc: the texts of the checker's findings.
#include "check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

namespace sim {

bool Checker::known(const char* kind, const void* pc) {
    for (uint32_t i = 0; i < foundCount; i++) {
        if (found[i].pc != offset(pc) || strcmp(found[i].kind, kind) != 0) continue;
        found[i].count++;
        return true;
    }
    return false;
}

void Checker::keep(const rtFinding& f) {
    if (foundCount < rtMaxFindings)
        found[foundCount++] = f;
    else
        dropped++;
}

rtFinding Checker::finding(const char* kind, const void* pc, uintptr_t address) const {
    rtFinding f = {};
    snprintf(f.kind, sizeof f.kind, "%s", kind);
    f.thread = worker().current->thread;
    memcpy(f.group, worker().group, sizeof f.group);
    f.pc = offset(pc);
    f.address = address;
    f.buffer = -2;
    f.count = 1;
    return f;
}

namespace {

// Name is a range's name for messages.
struct Name {
    char text[160];

    explicit Name(const Range& range) {
        if (range.area == Area::arguments)
            snprintf(text, sizeof text, "the arguments (buffer %d)", range.index);
        else if (range.area != Area::threadgroup)
            snprintf(text, sizeof text, "buffer %d", range.index);
        else if (range.variable) // its name is known once a thread has run its declaration
            snprintf(
                text, sizeof text, "threadgroup variable %s",
                range.variable->name ? range.variable->name : "?"
            );
        else
            snprintf(text, sizeof text, "threadgroup argument %d", range.index);
    }
};

__attribute__((format(printf, 2, 3))) void print(rtFinding& f, const char* format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(f.message, sizeof f.message, format, values);
    va_end(values);
}

uint64_t distance(const Range& range, uintptr_t address, size_t size) {
    if (address < range.begin) return range.begin - address;
    return address + size > range.end ? address + size - range.end : 0;
}

} // namespace

void Checker::locate(rtFinding& f, const Range& range, uintptr_t address) {
    f.buffer = range.area == Area::threadgroup ? -1 : range.index;
    f.offset = static_cast<int64_t>(address - range.begin);
}

void Checker::outOfBounds(uintptr_t address, size_t size, bool writes, const void* pc) {
    const Range* nearest = nullptr;
    for (uint32_t i = 0; i < rangeCount; i++)
        if (!nearest || distance(ranges[i], address, size) < distance(*nearest, address, size))
            nearest = &ranges[i];

    rtFinding f = finding("out of bounds", pc, address);
    const char* does = writes ? "writes" : "reads";
    if (!nearest || distance(*nearest, address, size) > uint64_t{1} << 32) {
        print(f, "%s %zu bytes at address %#zx, in no buffer", does, size, size_t{address});
    } else {
        locate(f, *nearest, address);
        print(
            f, "%s %zu bytes at byte %" PRId64 " of %s, %zu %s its %zu bytes", does, size, f.offset,
            Name(*nearest).text, size_t{distance(*nearest, address, size)},
            address < nearest->begin ? "before" : "past", size_t{nearest->end - nearest->begin}
        );
    }
    abandon(&worker(), f);
}

void Checker::readOnly(const Range& range, uintptr_t address, size_t size, const void* pc) {
    rtFinding f = finding("read-only memory", pc, address);
    locate(f, range, address);
    print(
        f, "writes %zu bytes at byte %" PRId64 " of %s, which may only be read", size, f.offset,
        Name(range).text
    );
    abandon(&worker(), f);
}

void Checker::uninitialised(const Range& range, uintptr_t address, size_t size, const void* pc) {
    if (known("uninitialised", pc)) return;
    rtFinding f = finding("uninitialised", pc, address);
    locate(f, range, address);
    print(
        f, "reads %zu bytes at byte %" PRId64 " of %s, which nobody has written", size, f.offset,
        Name(range).text
    );
    keep(f);
}

void Checker::race(
    const Range& range,
    uintptr_t address,
    bool writes,
    const void* pc,
    const Verdict& verdict
) {
    if (known("race", pc)) return;
    rtFinding f = finding("race", pc, address);
    locate(f, range, address);

    const Cell& cell = verdict.cell;
    uint32_t then = cell.writeClock, thread = cell.writer;
    const char* did = "wrote";
    f.otherPc = cell.writePc;
    if (verdict.with == Other::atomic) {
        then = cell.atomicClock, thread = cell.updater, did = "wrote atomically";
        f.otherPc = cell.atomicPc;
    } else if (verdict.with == Other::reads) {
        then = cell.readClock, thread = cell.reader, did = "read";
        f.otherPc = cell.readPc;
    }
    const Group group = groupAt(then);
    f.otherDispatch = group.dispatch;

    char other[160];
    if (then >= order.groupStart()) {
        const char* lacks = order.barrierSince(then) ? " that names this kind of memory" : "";
        // Only the last of several readers is known, and it may have been this thread itself.
        if (thread == f.thread)
            snprintf(
                other, sizeof other, "another thread %s, without a barrier%s between", did, lacks
            );
        else
            snprintf(
                other, sizeof other, "thread %u %s, without a barrier%s between", thread, did, lacks
            );
    } else if (group.dispatch == dispatch->index) {
        snprintf(
            other, sizeof other,
            "thread %u of threadgroup %zu %s: nothing orders the threadgroups of a dispatch",
            thread, size_t{group.index}, did
        );
    } else {
        snprintf(
            other, sizeof other, "dispatch %u of the list %s, without a Barrier between",
            group.dispatch, did
        );
    }
    print(
        f, "%s byte %" PRId64 " of %s, which %s", writes ? "writes" : "reads", f.offset,
        Name(range).text, other
    );
    keep(f);
}

void Checker::undefined(Undefined what, uintptr_t value, const void* pc) {
    switch (what) {
    case Undefined::misaligned: {
        rtFinding f = finding("misaligned", pc, value);
        print(f, "address %#zx is not aligned for its type", size_t{value});
        if (const Range* range = find(value, 1)) {
            locate(f, *range, value);
            print(
                f, "byte %" PRId64 " of %s is not aligned for its type", f.offset, Name(*range).text
            );
        }
        abandon(&worker(), f);
    }
    case Undefined::arrayIndex: {
        rtFinding f = finding("array index", pc, 0);
        print(f, "index %td is outside the array", static_cast<ptrdiff_t>(value));
        abandon(&worker(), f);
    }
    case Undefined::division: {
        rtFinding f = finding("division by zero", pc, 0);
        print(f, "divides an integer by zero");
        abandon(&worker(), f);
    }
    case Undefined::shift: {
        // A GPU takes the amount modulo the width: suspicious, but no reason to stop.
        if (known("shift", pc)) return;
        rtFinding f = finding("shift", pc, 0);
        print(f, "shifts by %td, which is not less than the width", static_cast<ptrdiff_t>(value));
        keep(f);
    }
    }
}

} // namespace sim
