// shadow.h: the last accesses to each byte of memory, for finding races and counting distinct bytes.
//
// Checked dispatches run on one host thread, so all accesses have a place in one order. One counter, the clock, gives
// that place (order.h). A cell remembers the clocks of the last write and the last read.
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

namespace sim {

// Cell is the history of one granule: 1 to 16 bytes that have always been accessed together.
struct Cell {
    // Clocks of the last write, of the last read since, and of the last atomic write since; 0: none.
    uint32_t writeClock, readClock, atomicClock;
    uint32_t writePc, readPc, atomicPc; // offsets into the image of the kernel
    uint16_t writer, reader, updater;   // threads, in their groups
    uint16_t flags;                     // CellFlags
};

enum CellFlags : uint16_t {
    seenRead = 1,  // read in this dispatch
    seenWrite = 2, // written in this dispatch
    manyLanes = 4, // besides `reader`, other lanes of its simdgroup have read, unordered with it,
    manySimdgroups = 8, // or other simdgroups of its threadgroup,
    manyGroups = 16,    // or other threadgroups or dispatches of this interval
    readerFlags = manyLanes | manySimdgroups | manyGroups,
};

// Page is the shadow of 4,096 bytes. Its granule is as wide as the accesses allow: 16 bytes at first; a narrower
// access splits every cell, which is exact, since a cell is the history of each of its bytes.
struct Page {
    static constexpr unsigned shift = 12;
    static constexpr size_t size = size_t{1} << shift;
    static constexpr unsigned widest = 4; // log2 of 16 bytes

    Cell* cells;
    uint32_t dispatch; // the seen flags of the cells are of this one
    uint32_t granule;  // log2 of bytes

    size_t count() const { return size >> granule; }
    // beginDispatch clears the seen flags of earlier dispatches.
    void beginDispatch(uint32_t serial);
    // refine splits the cells down to 1 << to bytes.
    void refine(unsigned to);
};

// Shadow maps addresses to pages: two levels over 48 bits of address, filled in where memory is touched. One thread
// calls page; others may forget pages that it does not touch at the time.
class Shadow {
public:
    Shadow();
    ~Shadow();
    Shadow(const Shadow&) = delete;
    Shadow& operator=(const Shadow&) = delete;

    // page returns the page of an address, its seen flags those of the dispatch with this serial number (from 1 on).
    Page& page(uintptr_t address, uint32_t dispatch) {
        Page* leaf = __atomic_load_n(&top[address >> topShift & (fanout - 1)], __ATOMIC_ACQUIRE);
        if (__builtin_expect(!leaf, 0)) leaf = grow(address);
        Page& found = leaf[address >> Page::shift & (fanout - 1)];
        if (__builtin_expect(found.dispatch != dispatch, 0)) found.beginDispatch(dispatch);
        return found;
    }
    // forget drops the history of every page that [begin, begin + size) touches: the memory has a new owner.
    void forget(uintptr_t begin, size_t size);
    void forgetAll();

private:
    static constexpr unsigned topShift = 30;
    static constexpr size_t fanout = size_t{1} << 18;

    Page* grow(uintptr_t address);

    Page** top;
    pthread_mutex_t forgetting = PTHREAD_MUTEX_INITIALIZER;
};

} // namespace sim
