// poison.cc: the pattern of memory that was never written (poison.h).
#include "poison.h"

#include <string.h>

namespace sim {

namespace {

constexpr uint64_t fixedBits = 0x7F837F837F837F83;  // of each unit that are always the same
constexpr uint64_t fixedValue = 0x7F817F817F817F81; // and their values
constexpr size_t windowSize = 16;                   // bytes
constexpr int enough = 3;                           // units of a window

struct Window {
    uint64_t half[2];
};

// mix is the finaliser of splitmix64 (Steele, Lea and Flood, 2014).
uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
    x = (x ^ x >> 27) * 0x94D049BB133111EB;
    return x ^ x >> 31;
}

Window pattern(uintptr_t window) {
    Window out;
    for (uint64_t i = 0; i < 2; i++)
        out.half[i] = (mix(window * 2 + i + 1) & ~fixedBits) | fixedValue;
    return out;
}

// holds returns one bit for each 16-bit unit of the window that holds the pattern.
unsigned holds(uintptr_t window) {
    uint16_t want[8], got[8];
    const Window expected = pattern(window);
    memcpy(want, &expected, sizeof want);
    memcpy(got, reinterpret_cast<const void*>(window * windowSize), sizeof got);
    unsigned units = 0;
    for (unsigned i = 0; i < 8; i++)
        units |= unsigned{want[i] == got[i]} << i;
    return units;
}

} // namespace

void poison(void* begin, size_t size) {
    char* bytes = static_cast<char*>(begin);
    for (size_t done = 0; done < size;) {
        const uintptr_t address = reinterpret_cast<uintptr_t>(bytes + done);
        const Window fill = pattern(address / windowSize);
        const size_t skip = address % windowSize;
        const size_t n = size - done < windowSize - skip ? size - done : windowSize - skip;
        memcpy(bytes + done, reinterpret_cast<const char*>(&fill) + skip, n);
        done += n;
    }
}

bool isPoison(const void* address, size_t size) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(address), end = begin + size;
    uint16_t first; // nearly every read of written memory ends here
    memcpy(&first, reinterpret_cast<const void*>(begin & ~uintptr_t{1}), sizeof first);
    if ((first & static_cast<uint16_t>(fixedBits)) != static_cast<uint16_t>(fixedValue))
        return false;

    int evidence = 0;
    for (uintptr_t window = begin / windowSize; window * windowSize < end; window++) {
        const uintptr_t base = window * windowSize;
        const unsigned from = begin > base ? static_cast<unsigned>(begin - base) / 2 : 0;
        const unsigned to = end < base + windowSize ? static_cast<unsigned>(end - base + 1) / 2 : 8;
        const unsigned touched = ((1u << to) - 1) & ~((1u << from) - 1);
        const unsigned held = holds(window);
        if ((held & touched) != touched) return false;
        evidence += __builtin_popcount(held);
    }
    return evidence >= enough;
}

} // namespace sim
