// shim.h: the calls of the Go side into Metal, as plain C. shim_darwin.m sends the messages.
//
// Objects cross as pointers. The caller owns every object that a function returns, and releases it once. The caller
// frees the texts in a returned mr_error or mr_info. This header has no Objective-C in it, so that any C compiler can
// check the layout below against the Go structs (shimtest).

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    mr_max_buffers = 16,              // metal.MaxBuffers
    mr_max_threadgroup_arguments = 4, // metal.MaxThreadgroupArguments
};

// mr_error is an NSError; text is null where nothing went wrong.
typedef struct {
    int64_t code;
    char* text; // UTF-8
} mr_error;

// mr_device is an MTLDevice with its queue and its fence, which every submission needs, and a set of its buffers.
typedef struct {
    void* device;    // id<MTLDevice>
    void* queue;     // id<MTLCommandQueue>
    void* fence;     // id<MTLFence>, passed from one command buffer to the next
    void* residency; // id<MTLResidencySet> of the buffers; null before macOS 15
} mr_device;

// mr_info describes a device. Sizes are in bytes.
typedef struct {
    char* name;         // UTF-8
    char* architecture; // UTF-8, "applegpu_g13s"
    uint64_t cores;     // 0: not known
    uint64_t max_threads_per_group;
    uint64_t max_threadgroup_memory_size;
    uint64_t max_buffer_size;
    uint64_t working_set_size;
    bool unified_memory;
} mr_info;

// mr_constant is the value of one function constant; type is an MTLDataType of at most four bytes.
typedef struct {
    uint32_t index;
    uint32_t type;
    uint32_t bits; // little-endian, the value in its lowest bytes
} mr_constant;

// mr_pipeline_info holds the needs and limits of a compiled kernel.
typedef struct {
    uint64_t max_threads; // in a threadgroup
    uint64_t simd_width;
    uint64_t threadgroup_memory_size; // bytes, declared in the kernel
} mr_pipeline_info;

// mr_binding is a buffer from an offset on; buffer 0 leaves the index alone.
typedef struct {
    uintptr_t buffer; // id<MTLBuffer>
    uint64_t offset;  // bytes
} mr_binding;

// mr_command is one dispatch. It holds addresses as integers: without Go pointers in it, cgo has nothing to check in an
// array of commands.
typedef struct {
    uintptr_t pipeline; // id<MTLComputePipelineState>
    mr_binding buffers[mr_max_buffers];
    uint32_t threadgroup_memory[mr_max_threadgroup_arguments]; // bytes; 0: none
    uint32_t arguments_offset;                                 // into the list's argument bytes
    uint32_t arguments_size;                                   // bytes; 0: no arguments
    uint32_t arguments_index;                                  // buffer index
    uint32_t barrier;                                          // not 0: wait for all before it
    uint32_t groups[3];
    uint32_t threads[3];
} mr_command;

// mr_open fills in the system's default device, or says which part of it is missing, or that the system is too old.
mr_error mr_open(mr_device* opened);

// mr_device_info fills in *info, whose texts the caller frees, unless it returns an error.
mr_error mr_device_info(void* device, mr_info* info);

// mr_supports_family says whether device belongs to an MTLGPUFamily.
bool mr_supports_family(void* device, int64_t family);

// mr_new_buffer returns a shared, untracked MTLBuffer, or null with *error; *contents is its memory.
void* mr_new_buffer(void* device, uint64_t size, void** contents, mr_error* error);

// mr_new_buffer_no_copy returns a shared, untracked MTLBuffer over whole pages of the caller's, or null with *error.
void* mr_new_buffer_no_copy(void* device, void* data, uint64_t size, mr_error* error);

// mr_set_resident adds a buffer to a residency set, or takes it out. mr_commit_residency makes such changes count. No two
// calls with one set may run at once.
void mr_set_resident(void* set, void* buffer, bool resident);
void mr_commit_residency(void* set);

// mr_keep_resident asks the system to keep the set's buffers within the GPU's reach although no work needs them, or no longer.
void mr_keep_resident(void* set, bool keep);

// mr_load_library returns the MTLLibrary in the bytes of a metallib, or null with *error.
void* mr_load_library(void* device, const void* metallib, uint64_t size, mr_error* error);

// mr_compile_library compiles Metal 3.1 source with fast math off, or returns null with *error.
void* mr_compile_library(void* device, const char* source, mr_error* error);

// mr_new_pipeline returns an MTLComputePipelineState and its *info, or null with *error.
void* mr_new_pipeline(
    void* device,
    void* library,
    const char* kernel,
    const mr_constant* constants,
    uint64_t count,
    mr_pipeline_info* info,
    mr_error* error
);

// mr_submit encodes and commits one command buffer. It copies commands and arguments, but retains no buffer and no
// pipeline: they must live until metalrankCompleted(tag, ...) is called, from any thread. If it returns an error,
// nothing was committed and metalrankCompleted is not called.
mr_error mr_submit(
    const mr_device* device,
    const mr_command* commands,
    uint64_t count,
    const void* arguments,
    uintptr_t tag
);

// mr_start_capture records the work of device from now on into a new file, a .gputrace.
mr_error mr_start_capture(void* device, const char* path);

void mr_stop_capture(void);
