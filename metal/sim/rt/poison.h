// poison.h: telling memory that was never written from memory that happens to hold NaN or -1.
//
// The CPU writes buffers through a plain pointer, so its writes can't be seen. Fresh memory is therefore filled with a
// pattern that depends on the address, and memory that still holds it counts as uninitialised:
//
//   - each 16-bit unit is 0x7F81 with its sign and five low bits drawn from a hash of its address: a NaN as half, as
//     bfloat and (two units) as float, and never one of those that programs write: 0x7FC0, 0xFFFF, infinity;
//   - a read is of uninitialised memory when every unit that it touches holds the pattern, and so do at least three
//     units (48 bits) of the 16-byte windows that it touches. By chance that happens to random data once in 2^43
//     reads, to floats, counts, -1 and all-ones never.
//
// Not found: fewer than three unwritten units next to written ones. They hold NaN, which shows in results.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace sim {

// poison fills [begin, begin + size) with the pattern.
void poison(void* begin, size_t size);

// isPoison says whether a read of [address, address + size) is of uninitialised memory. The 16-byte windows around
// it must be readable.
bool isPoison(const void* address, size_t size);

} // namespace sim
