// The runtime as Go sees it: a C ABI, called through a table of function pointers that rt_api returns.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    rtBindingReadOnly = 1,
    rtBindingConstant = 2
}; // flags of a binding, as sim::bindingReadOnly

enum { rtMaxBuffers = 16, rtMaxThreadgroupArguments = 4, rtMaxFindings = 64, rtCounterCount = 16 };

// One function constant of a pipeline.
typedef struct {
    uint32_t index;
    uint32_t bits;
} rtConstant;

// The binding of a buffer index. Laid out as sim::Binding.
typedef struct {
    uintptr_t address;
    uint64_t size;
    uint64_t flags;
} rtBinding;

// One dispatch.
typedef struct {
    const void* kernel; // from rtKernelInfo
    void* library;
    const rtConstant* constants;
    uint64_t constantCount;
    rtBinding buffers[rtMaxBuffers];                       // argument bytes among them
    uint32_t threadgroupMemory[rtMaxThreadgroupArguments]; // bytes
    uint32_t groups[3];
    uint32_t threads[3];
    uint32_t barrier; // 1: earlier commands of the list must be complete and visible
} rtCommand;

// One finding of checked mode, or the reason why a dispatch failed. Texts end in 0.
typedef struct {
    char kind[32];     // "out of bounds", "race"
    char message[256]; // with addresses and the other party
    char file[256];    // empty: not known, or to be found from pc
    uint32_t line;
    uint32_t thread; // in its threadgroup, linear
    uint32_t group[3];
    uint64_t pc; // in the kernel object: offset from its start; 0: none
    uint64_t
        otherPc; // of the other party of a race, in the kernel of dispatch otherDispatch; 0: none
    uint32_t otherDispatch; // index in the list
    int32_t buffer;         // index of the binding; -1: threadgroup memory, -2: neither
    int64_t offset;         // bytes from the start of the binding, or of the threadgroup variable
    uint64_t address;
    uint64_t count; // how often it was seen
} rtFinding;

// The outcome of one dispatch.
typedef struct {
    uint64_t counters[rtCounterCount]; // as sim::Counters
    uint64_t startNs, endNs;           // monotonic clock
    uint32_t failed;       // 1: findings[0] is the reason, and later commands did not run
    uint32_t findingCount; // may exceed rtMaxFindings: the rest were dropped
    rtFinding findings[rtMaxFindings];
} rtReport;

// A kernel of a loaded library.
typedef struct {
    const char* name;
    const void* kernel;
    uint32_t maxThreads;
    uint32_t threadgroupBytes;
} rtKernelInfo;

typedef struct {
    // Reserves device memory and starts `threads` workers. Null and *error on failure.
    void* (*open)(uint32_t threads, uint32_t checked, uint64_t seed, const char** error);
    void (*close)(void* device);
    // Address of the reserved region and its size in bytes.
    uint64_t (*region)(void* device, uint64_t* sizeBytes);
    // Makes [address, address+size) of the region readable and writable, and fills it with 0xFF, in checked mode with
    // poison; or gives it back. Both page-aligned. 0: ok, else errno.
    int (*map)(void* device, uint64_t address, uint64_t size);
    int (*unmap)(void* device, uint64_t address, uint64_t size);
    // Checks and prepares a loaded object. Null and *error where it isn't one of this version.
    void* (*load)(void* device, void* metalrankLibrary, const char** error);
    uint32_t (*kernelCount)(void* library);
    void (*kernelInfo)(void* library, uint32_t index, rtKernelInfo* info);
    // Runs commands one after another and fills one report each; returns how many ran.
    uint64_t (*execute)(void* device, const rtCommand* commands, uint64_t count, rtReport* reports);
    // Makes memory count as never written (checked mode; see poison.h).
    void (*poison)(void* device, uint64_t address, uint64_t size);
} rtAPI;

const rtAPI* rt_api(void);

#ifdef __cplusplus
}
#endif
