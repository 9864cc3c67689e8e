// poison.cc: rt/poison.h finds what nobody wrote, and does not take for it what programs write; run by TestNative.
#include "poison.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace {

alignas(16) unsigned char memory[4096];
int failures = 0;

void expect(bool got, bool want, const char* what, size_t at, size_t size) {
    if (got == want) return;
    printf("%s: %zu bytes at %zu: poison %d, want %d\n", what, size, at, got, want);
    failures++;
}

// Fresh memory is poison wherever it is read, and NaN as a float.
void fresh() {
    sim::poison(memory, sizeof memory);
    for (size_t size = 1; size <= 64; size *= 2)
        for (size_t at = 0; at + size <= sizeof memory; at++)
            expect(sim::isPoison(memory + at, size), true, "fresh", at, size);
    for (size_t at = 0; at < sizeof memory; at += 4) {
        float value;
        memcpy(&value, memory + at, 4);
        expect(isnan(value), true, "fresh float is NaN", at, 4);
    }
}

// A value that fills memory again and again is not poison: -1, all ones, the NaNs that programs write, or any other
// that hasn't the pattern's fixed bits.
void filled() {
    for (unsigned value = 0; value <= 0xFFFF; value++) {
        if ((value & 0x7F83) == 0x7F81) continue;
        const unsigned short unit = static_cast<unsigned short>(value);
        for (size_t at = 0; at < 256; at += 2)
            memcpy(memory + at, &unit, 2);
        for (size_t at = 16; at < 240; at += 4)
            expect(sim::isPoison(memory + at, 4), false, "filled", at, 4);
    }
}

// Poisoned again in part, only that part is.
void tail() {
    memset(memory, 0xFF, 256);
    sim::poison(memory + 100, 60);
    for (size_t at = 0; at < 256; at += 4)
        expect(sim::isPoison(memory + at, 4), at >= 100 && at + 4 <= 160, "tail", at, 4);
    expect(sim::isPoison(memory + 96, 16), false, "partly written", 96, 16);
}

// Random bytes are not poison.
void random(size_t reads) {
    srand(1);
    for (size_t i = 0; i < sizeof memory; i++)
        memory[i] = static_cast<unsigned char>(rand() >> 8);
    for (size_t i = 0; i < reads; i++) {
        const size_t at = static_cast<size_t>(rand()) % (sizeof memory - 32);
        memory[at] = static_cast<unsigned char>(rand() >> 8);
        expect(sim::isPoison(memory + at, 1 + i % 16), false, "random", at, 1 + i % 16);
    }
}

} // namespace

int main(int, char** argv) {
    fresh();
    filled();
    tail();
    random(static_cast<size_t>(atoll(argv[1])));
    return failures ? 1 : 0;
}
