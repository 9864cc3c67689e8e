// shadow.cc: rt/shadow.h against a plain array with one cell to a byte, over random accesses; run by TestNative.
#include "shadow.h"

#include <stdio.h>
#include <stdlib.h>
#include <vector>

int main(int, char** argv) {
    constexpr size_t size = 3 * sim::Page::size;
    constexpr uintptr_t base = uintptr_t{0x7f1234567} << sim::Page::shift;
    const unsigned accesses = static_cast<unsigned>(atoi(argv[1]));
    sim::Shadow shadow;
    std::vector<unsigned> plain(size);
    srand(1);
    for (unsigned clock = 1; clock <= accesses; clock++) {
        // Wide accesses at first, so that pages are refined with history in them.
        const size_t widest = clock < accesses / 2 ? 16 : size_t{1} << rand() % 5;
        const size_t n = widest * (1 + static_cast<size_t>(rand()) % 4);
        const size_t begin = static_cast<size_t>(rand()) % (size - n) / widest * widest;
        for (size_t at = begin; at < begin + n;) {
            sim::Page& page = shadow.page(base + at, 1 + clock / 100);
            const unsigned granule = static_cast<unsigned>(__builtin_ctzl(widest));
            if (granule < page.granule) page.refine(granule);
            sim::Cell& cell = page.cells[at % sim::Page::size >> page.granule];
            const size_t bytes = size_t{1} << page.granule;
            for (size_t i = at; i < at + bytes; i++) {
                if (plain[i] != cell.writeClock) {
                    printf("byte %zu: clock %u, want %u\n", i, cell.writeClock, plain[i]);
                    return 1;
                }
                plain[i] = clock;
            }
            cell.writeClock = clock;
            at += bytes;
        }
    }
    shadow.forget(base + sim::Page::size, 1);
    if (shadow.page(base + sim::Page::size + 8, 1).cells[0].writeClock != 0) {
        printf("a forgotten page remembers\n");
        return 1;
    }
    return 0;
}
