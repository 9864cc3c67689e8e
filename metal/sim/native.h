// native.h: loading shared objects, and calling the runtime through its table (rt/rt.h).
#pragma once

#include "rt/rt.h"

// nativeCanLoad returns 0 in a program that is linked statically with musl, which has no loader.
int nativeCanLoad(void);

// nativeLoad and nativeSymbol return null and an allocated *error where they fail.
void* nativeLoad(const char* path, char** error);
void* nativeSymbol(void* object, const char* name, char** error);
void nativeUnload(void* object);

const rtAPI* nativeTable(void* rt_api_symbol);

void* nativeOpen(
    const rtAPI* api,
    uint32_t threads,
    uint32_t checked,
    uint64_t seed,
    const char** error
);
void nativeClose(const rtAPI* api, void* device);
uint64_t nativeRegion(const rtAPI* api, void* device, uint64_t* sizeBytes);
int nativeMap(const rtAPI* api, void* device, uint64_t address, uint64_t size);
int nativeUnmap(const rtAPI* api, void* device, uint64_t address, uint64_t size);
void* nativePrepare(const rtAPI* api, void* device, void* library, const char** error);
uint32_t nativeKernelCount(const rtAPI* api, void* library);
void nativeKernelInfo(const rtAPI* api, void* library, uint32_t index, rtKernelInfo* info);
uint64_t nativeExecute(
    const rtAPI* api,
    void* device,
    const rtCommand* commands,
    uint64_t count,
    rtReport* reports
);
void nativePoison(const rtAPI* api, void* device, uint64_t address, uint64_t size);
