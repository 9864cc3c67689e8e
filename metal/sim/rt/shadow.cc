// shadow.cc: the page table of the shadow memory (shadow.h).
#include "shadow.h"

#include <stdlib.h>
#include <sys/mman.h>

namespace sim {

namespace {

// reserve returns zeroed memory; only touched parts of it cost anything.
void* reserve(size_t size) {
    void* memory = mmap(
        nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0
    );
    if (memory == MAP_FAILED) abort();
    return memory;
}

void clear(Page& page) {
    free(page.cells);
    page = {};
}

} // namespace

void Page::beginDispatch(uint32_t serial) {
    dispatch = serial;
    if (!cells) {
        granule = widest;
        cells = static_cast<Cell*>(calloc(count(), sizeof(Cell)));
        if (!cells) abort();
        return;
    }
    for (size_t i = 0; i < count(); i++)
        cells[i].flags &= static_cast<uint16_t>(~(seenRead | seenWrite));
}

void Page::refine(unsigned to) {
    const unsigned split = granule - to;
    const size_t finer = size >> to;
    Cell* parts = static_cast<Cell*>(malloc(finer * sizeof(Cell)));
    if (!parts) abort();
    for (size_t i = 0; i < finer; i++)
        parts[i] = cells[i >> split];
    free(cells);
    cells = parts;
    granule = to;
}

Shadow::Shadow() : top(static_cast<Page**>(reserve(fanout * sizeof(Page*)))) {}

Shadow::~Shadow() {
    forgetAll();
    for (size_t i = 0; i < fanout; i++)
        if (top[i]) munmap(top[i], fanout * sizeof(Page));
    munmap(top, fanout * sizeof(Page*));
}

Page* Shadow::grow(uintptr_t address) {
    Page* leaf = static_cast<Page*>(reserve(fanout * sizeof(Page)));
    __atomic_store_n(&top[address >> topShift & (fanout - 1)], leaf, __ATOMIC_RELEASE);
    return leaf;
}

void Shadow::forget(uintptr_t begin, size_t size) {
    pthread_mutex_lock(&forgetting);
    for (uintptr_t at = begin & ~(Page::size - 1); at < begin + size; at += Page::size) {
        Page* leaf = __atomic_load_n(&top[at >> topShift & (fanout - 1)], __ATOMIC_ACQUIRE);
        if (leaf) clear(leaf[at >> Page::shift & (fanout - 1)]);
    }
    pthread_mutex_unlock(&forgetting);
}

void Shadow::forgetAll() {
    pthread_mutex_lock(&forgetting);
    for (size_t i = 0; i < fanout; i++)
        for (size_t j = 0; top[i] && j < fanout; j++)
            if (top[i][j].cells) clear(top[i][j]);
    pthread_mutex_unlock(&forgetting);
}

} // namespace sim
