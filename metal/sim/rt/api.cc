// api.cc: the C ABI of rt.h.
#include "library.h"
#include "runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

namespace sim {
namespace {

// Address space for buffers: reserved, not used, until a buffer is mapped into it.
constexpr uint64_t regionSize = 64ull << 30; // bytes
constexpr int reserved = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

Device* deviceOf(void* p) {
    return static_cast<Device*>(p);
}
uint8_t* pointerTo(uint64_t address) {
    return reinterpret_cast<uint8_t*>(static_cast<uintptr_t>(address));
}

void closeDevice(void* p) {
    Device* device = deviceOf(p);
    pthread_mutex_lock(&device->mu);
    device->closing = true;
    pthread_cond_broadcast(&device->work);
    pthread_mutex_unlock(&device->mu);
    for (uint32_t i = 0; i < device->runnerCount; i++)
        pthread_join(device->runners[i].thread, nullptr);
    if (device->checked) checkClose(device);
    for (uint32_t i = 0; i < device->runnerCount; i++)
        stopRunner(&device->runners[i]);
    if (device->region) munmap(device->region, regionSize);
    free(device->runners);
    free(device);
}

void* openDevice(uint32_t threads, uint32_t checked, uint64_t seed, const char** error) {
    Device* device = static_cast<Device*>(calloc(1, sizeof(Device)));
    device->checked = checked != 0;
    device->seed = seed;
    device->runners = static_cast<Runner*>(calloc(threads, sizeof(Runner)));
    pthread_mutex_init(&device->mu, nullptr);
    pthread_cond_init(&device->work, nullptr);
    pthread_cond_init(&device->idle, nullptr);
    void* region = mmap(nullptr, regionSize, PROT_NONE, reserved, -1, 0);
    *error = nullptr;
    if (region == MAP_FAILED) {
        *error = "no address space for device memory";
    } else {
        device->region = static_cast<uint8_t*>(region);
        device->regionSize = regionSize;
        installFaultHandlers();
        while (!*error && device->runnerCount < threads) {
            if (startRunner(device, & device->runners[device->runnerCount])) device
                ->runnerCount++;
            else
                *error = "a worker did not start";
        }
    }
    if (!*error && device->checked && !checkOpen(device)) *error = "no memory for checked mode";
    if (!*error) return device;
    closeDevice(device);
    return nullptr;
}

uint64_t region(void* device, uint64_t* sizeBytes) {
    *sizeBytes = deviceOf(device)->regionSize;
    return reinterpret_cast<uintptr_t>(deviceOf(device)->region);
}

int map(void* p, uint64_t address, uint64_t size) {
    Device* device = deviceOf(p);
    if (mprotect(pointerTo(address), size, PROT_READ | PROT_WRITE) != 0) return errno;
    if (device->checked)
        checkMap(device, pointerTo(address), size);
    else
        memset(pointerTo(address), 0xFF, size); // reads as NaN before it is written
    return 0;
}

int unmap(void* p, uint64_t address, uint64_t size) {
    Device* device = deviceOf(p);
    if (device->checked) checkUnmap(device, pointerTo(address), size);
    void* mapped = mmap(pointerTo(address), size, PROT_NONE, reserved | MAP_FIXED, -1, 0);
    return mapped == MAP_FAILED ? errno : 0;
}

void* load(void* device, void* metalrankLibrary, const char** error) {
    *error = prepare(static_cast<Library*>(metalrankLibrary), deviceOf(device)->checked);
    return *error ? nullptr : metalrankLibrary;
}

uint32_t kernelCount(void* library) {
    uint32_t count = 0;
    for (const Kernel* k = *static_cast<Library*>(library)->kernels; k; k = k->next)
        count++;
    return count;
}

void kernelInfo(void* library, uint32_t index, rtKernelInfo* info) {
    const Kernel* k = *static_cast<Library*>(library)->kernels;
    while (index-- > 0)
        k = k->next;
    *info = rtKernelInfo{k->name, k, k->maxThreads, k->threadgroupBytes};
}

uint64_t execute(void* p, const rtCommand* commands, uint64_t count, rtReport* reports) {
    Device* device = deviceOf(p);
    if (device->checked) checkBeginList(device);
    for (uint64_t i = 0; i < count; i++) {
        const rtCommand* c = &commands[i];
        rtReport* report = &reports[i];
        memset(report, 0, offsetof(rtReport, findings));
        Dispatch d{};
        d.device = device;
        d.command = c;
        d.kernel = static_cast<const Kernel*>(c->kernel);
        d.library = static_cast<Library*>(c->library);
        d.report = report;
        d.index = static_cast<uint32_t>(i);
        d.groupCount = uint64_t{c->groups[0]} * c->groups[1] * c->groups[2];
        lock(d.library, c->constants, c->constantCount);
        if (device->checked) checkBeginDispatch(device, &d);
        runDispatch(device, &d);
        if (device->checked) checkEndDispatch(device, &d);
        unlock(d.library);
        if (report->failed) return i + 1;
    }
    return count;
}

void poison(void* p, uint64_t address, uint64_t size) {
    Device* device = deviceOf(p);
    if (device->checked) checkPoison(device, pointerTo(address), size);
}

} // namespace
} // namespace sim

extern "C" __attribute__((visibility("default"))) const rtAPI* rt_api() {
    static const rtAPI api = {
        sim::openDevice, sim::closeDevice, sim::region,     sim::map,     sim::unmap,
        sim::load,       sim::kernelCount, sim::kernelInfo, sim::execute, sim::poison,
    };
    return &api;
}
