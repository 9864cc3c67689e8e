// access.cc: finds the range of every access of a checked kernel, counts it, and checks it against earlier accesses.
#include "check.h"
#include "poison.h"

namespace sim {

uint32_t Checker::offset(const void* pc) const {
    // A return address lies behind the call; the byte before it is in the call, on its line.
    return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pc) - imageBase - 1);
}

const Range* Checker::find(uintptr_t address, size_t size) {
    auto holds = [&](const Range& r) { return address >= r.begin && address + size <= r.end; };
    if (recent && holds(*recent)) return recent;
    for (uint32_t i = 0; i < rangeCount; i++) {
        if (!holds(ranges[i])) continue;
        if (!overlapping) recent = &ranges[i];
        return &ranges[i];
    }
    return nullptr;
}

template <Checker::Mode mode>
void Checker::count(const Range& range, size_t size, uint64_t fresh) {
    Counters& counters = worker().counters;
    constexpr bool writes = mode == plainStore || mode == atomicStore;
    switch (range.area) {
    case Area::threadgroup:
        (writes ? counters.threadgroupWritten : counters.threadgroupRead) += size;
        return;
    case Area::constant:
    case Area::arguments:
        counters.constantRead += size;
        return;
    case Area::device:
        (writes ? counters.deviceWritten : counters.deviceRead) += size;
        (writes ? counters.deviceWrittenUnique : counters.deviceReadUnique) += fresh;
        return;
    }
}

template <Checker::Mode mode>
void Checker::judgeCell(Cell& cell, size_t bytes, const Access& a, Verdict& verdict) {
    constexpr bool writes = mode == plainStore || mode == atomicStore;
    constexpr uint16_t seen = writes ? seenWrite : seenRead;
    if (!(cell.flags & seen)) {
        cell.flags |= seen;
        verdict.fresh += bytes;
    }
    if (verdict.with == Other::none) {
        if (order.racesWithWrite(cell, a))
            verdict.with = Other::write;
        else if (order.racesWithAtomic(cell, a))
            verdict.with = Other::atomic;
        else if (writes && order.racesWithReaders(cell, a))
            verdict.with = Other::reads;
        if (verdict.with != Other::none) verdict.cell = cell;
    }
    if (writes)
        order.write(cell, a);
    else
        order.read(cell, a);
}

template <Checker::Mode mode>
Checker::Verdict Checker::judge(uintptr_t address, size_t size, const Access& a, bool whole) {
    Verdict verdict;
    size_t cells = 0, unwritten = 0;
    while (size > 0) {
        Page& page = shadow.page(address, serial);
        const size_t at = address % Page::size;
        const size_t n = size < Page::size - at ? size : Page::size - at;
        const unsigned granule = static_cast<unsigned>(__builtin_ctzl(at | n));
        if (granule < page.granule) page.refine(granule);
        const size_t end = (at + n) >> page.granule;
        for (size_t i = at >> page.granule; i < end; i++, cells++) {
            Cell& cell = page.cells[i];
            unwritten +=
                cell.writeClock < order.groupStart() && cell.atomicClock < order.groupStart();
            judgeCell<mode>(cell, size_t{1} << page.granule, a, verdict);
        }
        address += n;
        size -= n;
    }
    verdict.uninitialised = whole ? unwritten == cells : unwritten > 0;
    return verdict;
}

template <Checker::Mode mode>
void Checker::access(uintptr_t address, size_t size, const void* pc, bool whole) {
    constexpr bool writes = mode == plainStore || mode == atomicStore;
    const Range* range = find(address, size);
    if (!range) {
        if (isOwn(address)) return;
        outOfBounds(address, size, writes, pc);
    }
    const bool shared = range->area == Area::threadgroup;
    if (writes && !shared && (range->area != Area::device || range->foreign))
        readOnly(*range, address, size, pc);
    if (range->area == Area::arguments) return count<mode>(*range, size, 0);

    const Access a = {
        shared ? threadgroupMemory : deviceMemory,
        worker().current->thread,
        offset(pc),
        mode == atomicLoad || mode == atomicStore,
    };
    Verdict verdict = judge<mode>(address, size, a, whole);
    count<mode>(*range, size, verdict.fresh);
    if (!shared)
        verdict.uninitialised =
            !writes && !range->foreign && isPoison(reinterpret_cast<const void*>(address), size);
    else if (range->variable && range->variable->zeroed)
        verdict.uninitialised = false;
    if (!writes && verdict.uninitialised) uninitialised(*range, address, size, pc);
    if (verdict.with != Other::none) race(*range, address, writes, pc, verdict);
}

void Checker::read(uintptr_t address, size_t size, const void* pc, bool whole) {
    access<plainLoad>(address, size, pc, whole);
}

void Checker::write(uintptr_t address, size_t size, const void* pc) {
    access<plainStore>(address, size, pc, false);
}

void Checker::atomic(uintptr_t address, size_t size, AtomicKind kind, const void* pc) {
    if (kind != AtomicKind::load) worker().counters.atomics++;
    if (kind != AtomicKind::store) access<atomicLoad>(address, size, pc, false);
    if (kind != AtomicKind::load) access<atomicStore>(address, size, pc, false);
}

} // namespace sim
