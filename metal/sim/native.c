#include "native.h"

#include <dlfcn.h>
#include <string.h>

static char* lastError(void) {
    const char* text = dlerror();
    return strdup(text ? text : "unknown error");
}

int nativeCanLoad(void) {
    void* program = dlopen(NULL, RTLD_NOW);
    if (program) dlclose(program);
    return program != NULL;
}

// RTLD_NOW: a missing symbol is found here. RTLD_LOCAL: two objects don't see each other's symbols.
void* nativeLoad(const char* path, char** error) {
    void* object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!object) *error = lastError();
    return object;
}

void* nativeSymbol(void* object, const char* name, char** error) {
    void* symbol = dlsym(object, name);
    if (!symbol) *error = lastError();
    return symbol;
}

void nativeUnload(void* object) {
    dlclose(object);
}

const rtAPI* nativeTable(void* symbol) {
    const rtAPI* (*get)(void);
    memcpy(&get, &symbol, sizeof get); // ISO C has no conversion from void* to a function's address
    return get();
}

void* nativeOpen(
    const rtAPI* api,
    uint32_t threads,
    uint32_t checked,
    uint64_t seed,
    const char** error
) {
    return api->open(threads, checked, seed, error);
}
void nativeClose(const rtAPI* api, void* device) {
    api->close(device);
}
uint64_t nativeRegion(const rtAPI* api, void* device, uint64_t* sizeBytes) {
    return api->region(device, sizeBytes);
}
int nativeMap(const rtAPI* api, void* device, uint64_t address, uint64_t size) {
    return api->map(device, address, size);
}
int nativeUnmap(const rtAPI* api, void* device, uint64_t address, uint64_t size) {
    return api->unmap(device, address, size);
}
void* nativePrepare(const rtAPI* api, void* device, void* library, const char** error) {
    return api->load(device, library, error);
}
uint32_t nativeKernelCount(const rtAPI* api, void* library) {
    return api->kernelCount(library);
}
void nativeKernelInfo(const rtAPI* api, void* library, uint32_t index, rtKernelInfo* info) {
    api->kernelInfo(library, index, info);
}
uint64_t nativeExecute(
    const rtAPI* api,
    void* device,
    const rtCommand* commands,
    uint64_t count,
    rtReport* reports
) {
    return api->execute(device, commands, count, reports);
}
void nativePoison(const rtAPI* api, void* device, uint64_t address, uint64_t size) {
    api->poison(device, address, size);
}
