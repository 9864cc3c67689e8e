// check.cc: the runtime's calls into the checker (runtime.h), and the table through which kernels call it.
#include "check.h"
#include "poison.h"

#include <dlfcn.h>
#if defined(__linux__)
#include <link.h>
#endif
#include <new>
#include <stdlib.h>
#include <string.h>

namespace sim {

namespace {

// The device's checker while this host thread runs a threadgroup; else null, as when a kernel object's initialisers and
// derived constants run.
thread_local Checker* active __attribute__((tls_model("initial-exec"))) = nullptr;

Checker* of(Device* device) {
    return static_cast<Checker*>(device->checker);
}

uintptr_t address(const void* p) {
    return reinterpret_cast<uintptr_t>(p);
}

template <unsigned log2>
void readHook(const void* p, const void* pc) {
    if (active) active->read(address(p), size_t{1} << log2, pc, false);
}

template <unsigned log2>
void writeHook(const void* p, const void* pc) {
    if (active) active->write(address(p), size_t{1} << log2, pc);
}

void readRange(const void* p, uint64_t size, const void* pc) {
    if (active) active->read(address(p), size, pc, true);
}

void writeRange(const void* p, uint64_t size, const void* pc) {
    if (active) active->write(address(p), size, pc);
}

void atomicHook(const void* p, uint64_t size, AtomicKind kind, const void* pc) {
    if (active) active->atomic(address(p), size, kind, pc);
}

void undefinedHook(Undefined what, uintptr_t value, const void* pc) {
    if (active) active->undefined(what, value, pc);
}

void transcendentalHook() {
    if (active) active->transcendental();
}

void flopsHook(uint64_t count) {
    if (active) active->flops(count);
}

constexpr CheckTable table = {
    {readHook<0>, readHook<1>, readHook<2>, readHook<3>, readHook<4>},
    {writeHook<0>, writeHook<1>, writeHook<2>, writeHook<3>, writeHook<4>},
    readRange,
    writeRange,
    atomicHook,
    undefinedHook,
    transcendentalHook,
    flopsHook,
};

// Image is a loaded object, found by an address in it.
struct Image {
    uintptr_t within;
    uintptr_t begin, end;
};

#if defined(__linux__)
int findImage(dl_phdr_info* object, size_t, void* data) {
    Image* image = static_cast<Image*>(data);
    uintptr_t begin = ~uintptr_t{0}, end = 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const auto& segment = object->dlpi_phdr[i];
        if (segment.p_type != PT_LOAD) continue;
        const uintptr_t from = object->dlpi_addr + segment.p_vaddr;
        if (from < begin) begin = from;
        if (from + segment.p_memsz > end) end = from + segment.p_memsz;
    }
    if (image->within < begin || image->within >= end) return 0;
    image->begin = begin;
    image->end = end;
    return 1;
}

Image imageOf(const void* p) {
    Image image = {address(p), 0, 0};
    dl_iterate_phdr(findImage, &image);
    return image;
}
#else
constexpr uintptr_t mostImageBytes = 64 << 20; // where there is no way to ask for an image's end

Image imageOf(const void* p) {
    Dl_info info = {};
    dladdr(p, &info);
    return {address(p), address(info.dli_fbase), address(info.dli_fbase) + mostImageBytes};
}
#endif

} // namespace

Checker::~Checker() {
    free(groups);
}

void Checker::beginInterval() {
    if (order.nearlyExhausted()) {
        shadow.forgetAll();
        order.restart();
    }
    order.beginInterval();
    groupCount = 0;
}

void Checker::beginDispatch(Dispatch* begun) {
    dispatch = begun;
    if (begun->command->barrier || order.nearlyExhausted()) beginInterval();
    serial++;
    foundCount = dropped = 0;
    setOwn();
    setRanges();
}

// setOwn lists the memory that kernels touch besides their buffers and threadgroup memory.
void Checker::setOwn() {
    const Runner& runner = worker();
    const Image kernel = imageOf(dispatch->library), runtime = imageOf(&table);
    imageBase = kernel.begin;
    ownCount = 0;
    auto add = [&](const void* begin, size_t size) {
        own[ownCount++] = {address(begin), address(begin) + size};
    };
    add(runner.stacks, stackSize * maxThreads);
    own[ownCount++] = {kernel.begin, kernel.end};
    own[ownCount++] = {runtime.begin, runtime.end};
    add(&runner, sizeof runner);
    add(runner.simdgroups, sizeof(Simdgroup) * maxSimdgroups);
    add(dispatch->command, sizeof *dispatch->command);
}

bool Checker::isOwn(uintptr_t address) const {
    for (uint32_t i = 0; i < ownCount; i++)
        if (address >= own[i].begin && address < own[i].end) return true;
    return false;
}

void Checker::setRanges() {
    bindingCount = 0;
    recent = nullptr;
    overlapping = false;
    for (uint32_t i = 0; i < maxBuffers; i++) {
        const rtBinding& bound = dispatch->command->buffers[i];
        if (!bound.address) continue;
        Area area = Area::device;
        if (dispatch->kernel->constantMask >> i & 1) area = Area::constant;
        if (bound.flags & bindingConstant) area = Area::arguments;
        const bool foreign = bound.flags & bindingReadOnly;
        const Range range = {bound.address, bound.address + bound.size, area,
                             foreign,       static_cast<int32_t>(i),    nullptr};
        for (uint32_t j = 0; j < bindingCount; j++)
            overlapping |= range.begin < ranges[j].end && ranges[j].begin < range.end;
        ranges[bindingCount++] = range;
    }
    rangeCount = bindingCount;
}

void Checker::setThreadgroupRanges() {
    const uintptr_t base = address(worker().threadgroupMemory);
    rangeCount = bindingCount;
    for (uint32_t i = 0; i < maxThreadgroupArguments; i++)
        if (const uint32_t size = dispatch->command->threadgroupMemory[i]) {
            const uintptr_t begin = base + worker().threadgroupArguments[i];
            ranges[rangeCount++] = {
                begin, begin + size, Area::threadgroup, false, static_cast<int32_t>(i), nullptr
            };
        }
    if (!dispatch->kernel->variables) return;
    for (auto* v = *dispatch->kernel->variables; v && rangeCount < mostRanges; v = v->next)
        ranges[rangeCount++] = {
            base + v->offset, base + v->offset + v->size, Area::threadgroup, false, -1, v
        };
}

void Checker::beginGroup() {
    order.beginGroup();
    setThreadgroupRanges();
    logGroup();
}

void Checker::logGroup() {
    if (groupCount == groupCapacity) {
        groupCapacity = groupCapacity ? 2 * groupCapacity : 1024;
        groups = static_cast<Group*>(realloc(groups, groupCapacity * sizeof(Group)));
        if (!groups) abort();
    }
    groups[groupCount++] = {order.now(), dispatch->index, worker().linearGroup};
}

Checker::Group Checker::groupAt(uint32_t clock) const {
    size_t low = 0, high = groupCount; // the last group that began no later than clock
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (groups[middle].clock <= clock)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? groups[low - 1] : Group{};
}

// endDispatch reports the findings, behind the reason for the failure if the dispatch was abandoned.
void Checker::endDispatch() {
    rtReport* report = dispatch->report;
    for (uint32_t i = 0; i < foundCount; i++) {
        if (report->findingCount < rtMaxFindings) report->findings[report->findingCount] = found[i];
        report->findingCount++;
    }
    report->findingCount += dropped;
    dispatch = nullptr;
}

bool checkOpen(Device* device) {
    void* memory =
        malloc(sizeof(Checker)); // the runtime links no C++ library, so there is no plain new
    if (!memory) return false;
    device->checker = new (memory) Checker(device);
    return true;
}

void checkClose(Device* device) {
    if (!device->checker) return;
    of(device)->~Checker();
    free(device->checker);
}

void checkMap(Device* device, uint8_t* memory, uint64_t size) {
    of(device)->forget(address(memory), size);
    poison(memory, size);
}

void checkUnmap(Device* device, uint8_t* memory, uint64_t size) {
    of(device)->forget(address(memory), size);
}

void checkPoison(Device*, uint8_t* memory, uint64_t size) {
    poison(memory, size);
}

void checkBeginList(Device* device) {
    of(device)->beginInterval();
}

void checkBeginDispatch(Device* device, Dispatch* dispatch) {
    of(device)->beginDispatch(dispatch);
}

void checkEndDispatch(Device* device, Dispatch*) {
    of(device)->endDispatch();
}

void checkBeginGroup(Runner* worker) {
    active = of(worker->device);
    active->beginGroup();
}

void checkEndGroup(Runner*) {
    active = nullptr;
}

// The bits of MSL's mem_flags (Metal Shading Language Specification, "Memory flags").
constexpr uint32_t memDevice = 1, memThreadgroup = 2;

void checkThreadgroupBarrier(Runner* worker, uint32_t flags) {
    of(worker->device)->order.threadgroupBarrier(flags & memDevice, flags & memThreadgroup);
}

void checkSimdgroupBarrier(Runner* worker, Simdgroup* simdgroup, uint32_t flags) {
    of(worker->device)
        ->order.simdgroupBarrier(simdgroup->index, flags & memDevice, flags & memThreadgroup);
}

const CheckTable* checkTable() {
    return &table;
}

} // namespace sim
