// shim_darwin.m: every message that this package sends to Metal. The compiler counts no references: the results of
// methods `new...` and `alloc` are owned, those of other methods are autoreleased into the pool that each function opens
// for itself, so that it may be called from any thread. An exception becomes an error: Metal throws one for an argument that
// it refuses, and on virtual machines for methods that their device lacks.

#import <Foundation/Foundation.h>
#import <IOKit/IOKitLib.h>
#import <Metal/Metal.h>
#import <objc/runtime.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

// Written in Go (native_submit_darwin.go). reason is null where the work went well, and valid for the call.
extern void metalrankCompleted(
    uintptr_t tag,
    int64_t code,
    const char* reason,
    double start,
    double end
);

// Shared: the CPU and the GPU see one memory. Untracked: Metal adds no barriers of its own; ours are in the list.
static const MTLResourceOptions buffer_options =
    MTLResourceStorageModeShared | MTLResourceHazardTrackingModeUntracked;

// copy_text returns a copy of text, or of fallback where text is nil. The caller frees it.
static char* copy_text(NSString* text, const char* fallback) {
    const char* utf8 = [text UTF8String];
    return strdup(utf8 ? utf8 : fallback);
}

static mr_error failure(NSError* error, const char* fallback) {
    return (mr_error){.code = [error code],
                      .text = copy_text([error localizedDescription], fallback)};
}

// thrown returns an exception as an error, "NSInvalidArgumentException: the reason".
static mr_error thrown(NSException* exception) {
    const char* name = [[exception name] UTF8String];
    const char* reason = [[exception reason] UTF8String];
    name = name ? name : "an exception";
    reason = reason ? reason : "without a reason";
    size_t size = strlen(name) + strlen(reason) + 3;
    char* text = malloc(size);
    snprintf(text, size, "%s: %s", name, reason);
    return (mr_error){.text = text};
}

// default_device returns an owned device. The second way is for processes without a window server session:
// MTLCreateSystemDefaultDevice has been seen to return nil there.
static id<MTLDevice> default_device(void) {
    id<MTLDevice> device = MTLCreateSystemDefaultDevice();
    if (device) return device;
    NSArray<id<MTLDevice>>* all = MTLCopyAllDevices();
    device = [all count] > 0 ? [[all objectAtIndex:0] retain] : nil;
    [all release];
    return device;
}

static bool system_at_least(NSInteger major) {
    NSOperatingSystemVersion version = {.majorVersion = major};
    return [[NSProcessInfo processInfo] isOperatingSystemAtLeastVersion:version];
}

// new_residency_set returns an owned, empty set of buffers that the system keeps within the GPU's reach while the queue works;
// nil where the system has none, before macOS 15, or makes none: then it decides for each command buffer.
static id<MTLResidencySet> new_residency_set(id<MTLDevice> device, id<MTLCommandQueue> queue) {
    if (!system_at_least(15)) return nil;
    @try {
        // By name: a program that refers to the class itself does not start on macOS 14.
        Class descriptors = objc_getClass("MTLResidencySetDescriptor");
        MTLResidencySetDescriptor* descriptor = [[descriptors alloc] init];
        id<MTLResidencySet> set = [device newResidencySetWithDescriptor:descriptor error:NULL];
        [descriptor release];
        if (set) [queue addResidencySet:set];
        return set;
    } @catch (NSException* exception) {
        return nil; // a device that lacks the methods computes all the same
    }
}

mr_error mr_open(mr_device* opened) {
    @autoreleasepool {
        @try {
            if (!system_at_least(14))
                return failure(nil, "the kernels are Metal 3.1, which needs macOS 14 or later");
            id<MTLDevice> device = default_device();
            if (!device) return failure(nil, "the system has no Metal device");
            id<MTLCommandQueue> queue = [device newCommandQueue];
            id<MTLFence> fence = [device newFence];
            if (!queue || !fence) {
                [fence release];
                [queue release];
                [device release];
                return failure(nil, "the Metal device gives no command queue or no fence");
            }
            id<MTLResidencySet> residency = new_residency_set(device, queue);
            *opened = (mr_device
            ){.device = device, .queue = queue, .fence = fence, .residency = residency};
            return (mr_error){0};
        } @catch (NSException* exception) {
            return thrown(exception);
        }
    }
}

// core_count returns the number of the GPU's cores, or 0 where the system's registry doesn't have it. Metal has no call
// that tells; the entry is that of the driver, AGXAccelerator on all Apple silicon.
static uint64_t core_count(void) {
    CFMutableDictionaryRef of_driver = IOServiceMatching("AGXAccelerator");
    io_service_t gpu =
        of_driver ? IOServiceGetMatchingService(0, of_driver) : 0; // releases of_driver
    if (!gpu) return 0;
    CFTypeRef cores = IORegistryEntryCreateCFProperty(gpu, CFSTR("gpu-core-count"), NULL, 0);
    IOObjectRelease(gpu);
    if (!cores) return 0;
    int64_t count = 0;
    if (CFGetTypeID(cores) == CFNumberGetTypeID())
        CFNumberGetValue((CFNumberRef)cores, kCFNumberSInt64Type, &count);
    CFRelease(cores);
    return count > 0 ? (uint64_t)count : 0;
}

mr_error mr_device_info(void* handle, mr_info* info) {
    @autoreleasepool {
        @try {
            id<MTLDevice> device = (id<MTLDevice>)handle;
            *info = (mr_info){
                .max_threads_per_group = [device maxThreadsPerThreadgroup].width,
                .max_threadgroup_memory_size = [device maxThreadgroupMemoryLength],
                .max_buffer_size = [device maxBufferLength],
                .working_set_size = [device recommendedMaxWorkingSetSize],
                .unified_memory = [device hasUnifiedMemory],
                .cores = core_count(),
            };
            NSString *name = [device name], *architecture = [[device architecture] name];
            info->name = copy_text(name, "unnamed");
            info->architecture = copy_text(architecture, "");
            return (mr_error){0};
        } @catch (NSException* exception) {
            return thrown(exception);
        }
    }
}

bool mr_supports_family(void* device, int64_t family) {
    @autoreleasepool {
        @try {
            return [(id<MTLDevice>)device supportsFamily:(MTLGPUFamily)family];
        } @catch (NSException* exception) {
            return false;
        }
    }
}

void* mr_new_buffer(void* device, uint64_t size, void** contents, mr_error* error) {
    @autoreleasepool {
        @try {
            id<MTLBuffer> buffer = [(id<MTLDevice>)device newBufferWithLength:size
                                                                      options:buffer_options];
            if (!buffer) *error = failure(nil, "no memory");
            *contents = [buffer contents];
            return buffer;
        } @catch (NSException* exception) {
            *error = thrown(exception);
            return NULL;
        }
    }
}

void* mr_new_buffer_no_copy(void* device, void* data, uint64_t size, mr_error* error) {
    @autoreleasepool {
        @try {
            id<MTLBuffer> buffer = [(id<MTLDevice>)device newBufferWithBytesNoCopy:data
                                                                            length:size
                                                                           options:buffer_options
                                                                       deallocator:nil];
            if (!buffer) *error = failure(nil, "Metal refuses it");
            return buffer;
        } @catch (NSException* exception) {
            *error = thrown(exception);
            return NULL;
        }
    }
}

void mr_set_resident(void* set, void* buffer, bool resident) {
    @autoreleasepool {
        @try {
            if (resident)
                [(id<MTLResidencySet>)set addAllocation:(id<MTLBuffer>)buffer];
            else
                [(id<MTLResidencySet>)set removeAllocation:(id<MTLBuffer>)buffer];
        } @catch (NSException* exception) {
            // The system decides about this buffer, as it does without a set.
        }
    }
}

void mr_commit_residency(void* set) {
    @autoreleasepool {
        @try {
            [(id<MTLResidencySet>)set commit];
        } @catch (NSException* exception) {
            // As above, about all of them.
        }
    }
}

void mr_keep_resident(void* set, bool keep) {
    @autoreleasepool {
        @try {
            if (keep)
                [(id<MTLResidencySet>)set requestResidency];
            else
                [(id<MTLResidencySet>)set endResidency];
        } @catch (NSException* exception) {
            // As above.
        }
    }
}

void* mr_load_library(void* device, const void* metallib, uint64_t size, mr_error* error) {
    @autoreleasepool {
        @try {
            NSError* why = nil;
            dispatch_data_t data = dispatch_data_create(
                metallib, size, NULL, DISPATCH_DATA_DESTRUCTOR_DEFAULT
            ); // a copy
            id<MTLLibrary> library = [(id<MTLDevice>)device newLibraryWithData:data error:&why];
            dispatch_release(data);
            if (!library) *error = failure(why, "the metallib could not be loaded");
            return library;
        } @catch (NSException* exception) {
            *error = thrown(exception);
            return NULL;
        }
    }
}

void* mr_compile_library(void* device, const char* source, mr_error* error) {
    @autoreleasepool {
        @try {
            NSString* text = [NSString stringWithCString:source encoding:NSUTF8StringEncoding];
            if (!text) {
                *error = failure(nil, "the source is not UTF-8");
                return NULL;
            }
            NSError* why = nil;
            MTLCompileOptions* options = [[MTLCompileOptions alloc] init];
            [options setLanguageVersion:MTLLanguageVersion3_1];
            // setMathMode: replaces this one in macOS 15, which still obeys it.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
            [options setFastMathEnabled:NO];
#pragma clang diagnostic pop
            id<MTLLibrary> library = [(id<MTLDevice>)device newLibraryWithSource:text
                                                                         options:options
                                                                           error:&why];
            [options release];
            if (!library)
                *error = failure(why, "the source did not compile, and Metal does not say why");
            return library;
        } @catch (NSException* exception) {
            *error = thrown(exception);
            return NULL;
        }
    }
}

// new_function returns one kernel of library with its constants set, or nil with *why.
static id<MTLFunction> new_function(
    id<MTLLibrary> library,
    NSString* name,
    const mr_constant* constants,
    uint64_t count,
    NSError** why
) {
    MTLFunctionConstantValues* values = [[MTLFunctionConstantValues alloc] init];
    for (uint64_t i = 0; i < count; i++)
        [values setConstantValue:&constants[i].bits
                            type:constants[i].type
                         atIndex:constants[i].index];
    id<MTLFunction> function = [library newFunctionWithName:name constantValues:values error:why];
    [values release];
    return function;
}

void* mr_new_pipeline(
    void* device,
    void* library,
    const char* kernel,
    const mr_constant* constants,
    uint64_t count,
    mr_pipeline_info* info,
    mr_error* error
) {
    @autoreleasepool {
        @try {
            NSString* name = [NSString stringWithCString:kernel encoding:NSUTF8StringEncoding];
            if (!name) {
                *error = failure(nil, "the kernel's name is not UTF-8");
                return NULL;
            }
            NSError* why = nil;
            id<MTLFunction> function =
                new_function((id<MTLLibrary>)library, name, constants, count, &why);
            if (!function) {
                *error = failure(why, "the library has no such kernel");
                return NULL;
            }
            id<MTLComputePipelineState> pipeline =
                [(id<MTLDevice>)device newComputePipelineStateWithFunction:function error:&why];
            [function release];
            if (!pipeline) {
                *error = failure(why, "the kernel did not compile, and Metal does not say why");
                return NULL;
            }
            *info = (mr_pipeline_info){
                .max_threads = [pipeline maxTotalThreadsPerThreadgroup],
                .simd_width = [pipeline threadExecutionWidth],
                .threadgroup_memory_size = [pipeline staticThreadgroupMemoryLength],
            };
            return pipeline;
        } @catch (NSException* exception) {
            *error = thrown(exception);
            return NULL;
        }
    }
}

// encode_dispatch encodes all of a command but its pipeline and its barrier.
static void encode_dispatch(
    id<MTLComputeCommandEncoder> encoder,
    const mr_command* command,
    const char* arguments
) {
    for (NSUInteger i = 0; i < mr_max_buffers; i++) {
        const mr_binding* binding = &command->buffers[i];
        if (binding->buffer)
            [encoder setBuffer:(id<MTLBuffer>)binding->buffer offset:binding->offset atIndex:i];
    }
    if (command->arguments_size)
        [encoder setBytes:arguments + command->arguments_offset
                   length:command->arguments_size
                  atIndex:command->arguments_index];
    for (NSUInteger i = 0; i < mr_max_threadgroup_arguments; i++)
        if (command->threadgroup_memory[i])
            [encoder setThreadgroupMemoryLength:command->threadgroup_memory[i] atIndex:i];
    const uint32_t *groups = command->groups, *threads = command->threads;
    [encoder dispatchThreadgroups:MTLSizeMake(groups[0], groups[1], groups[2])
            threadsPerThreadgroup:MTLSizeMake(threads[0], threads[1], threads[2])];
}

static void encode(
    id<MTLComputeCommandEncoder> encoder,
    const mr_command* commands,
    uint64_t count,
    const char* arguments
) {
    uintptr_t pipeline = 0;
    for (const mr_command* command = commands; command < commands + count; command++) {
        if (command->barrier) [encoder memoryBarrierWithScope:MTLBarrierScopeBuffers];
        if (command->pipeline != pipeline)
            [encoder setComputePipelineState:(id<MTLComputePipelineState>)command->pipeline];
        pipeline = command->pipeline;
        encode_dispatch(encoder, command, arguments);
    }
}

// completed tells the Go side how a command buffer ended.
static void completed(id<MTLCommandBuffer> buffer, uintptr_t tag) {
    @autoreleasepool {
        double start = 0, end = 0;
        mr_error error = {0};
        @try {
            start = [buffer GPUStartTime];
            end = [buffer GPUEndTime];
            if ([buffer status] != MTLCommandBufferStatusCompleted)
                error = failure(
                    [buffer error], "the command buffer failed, and Metal does not say why"
                );
        } @catch (NSException* exception) {
            error = thrown(exception);
        }
        metalrankCompleted(tag, error.code, error.text, start, end);
        free(error.text);
    }
}

// abandon ends an encoder that will not be committed: Metal ends the process if one is freed before that.
static void abandon(id<MTLComputeCommandEncoder> encoder) {
    @try {
        [encoder endEncoding];
    } @catch (NSException* exception) {
        // The exception before it is the one to report.
    }
}

mr_error mr_submit(
    const mr_device* device,
    const mr_command* commands,
    uint64_t count,
    const void* arguments,
    uintptr_t tag
) {
    @autoreleasepool {
        id<MTLComputeCommandEncoder> encoder = nil;
        @try {
            id<MTLCommandQueue> queue = (id<MTLCommandQueue>)device->queue;
            id<MTLFence> fence = (id<MTLFence>)device->fence;
            id<MTLCommandBuffer> buffer = [queue commandBufferWithUnretainedReferences];
            encoder = [buffer computeCommandEncoderWithDispatchType:MTLDispatchTypeConcurrent];
            if (!encoder)
                return failure(nil, "the command queue gives no command buffer or no encoder");
            // Untracked buffers don't make an encoder wait for earlier encoders on the same queue. The fence does: each
            // encoder waits for it, then updates it. The wait must come before the update (Apple, MTLFence).
            [encoder waitForFence:fence];
            encode(encoder, commands, count, arguments);
            [encoder updateFence:fence];
            [encoder endEncoding];
            encoder = nil;
            [buffer addCompletedHandler:^(id<MTLCommandBuffer> done) { completed(done, tag); }];
            [buffer commit];
            return (mr_error){0};
        } @catch (NSException* exception) {
            mr_error error = thrown(exception);
            abandon(encoder);
            return error;
        }
    }
}

mr_error mr_start_capture(void* device, const char* path) {
    @autoreleasepool {
        @try {
            MTLCaptureManager* manager = [MTLCaptureManager sharedCaptureManager];
            if (![manager supportsDestination:MTLCaptureDestinationGPUTraceDocument])
                return failure(
                    nil, "the system captures for files only where the environment has "
                         "MTL_CAPTURE_ENABLED=1"
                );
            NSString* name = [NSString stringWithCString:path encoding:NSUTF8StringEncoding];
            if (!name) return failure(nil, "the file's name is not UTF-8");
            MTLCaptureDescriptor* descriptor = [[MTLCaptureDescriptor alloc] init];
            [descriptor setCaptureObject:(id<MTLDevice>)device];
            [descriptor setDestination:MTLCaptureDestinationGPUTraceDocument];
            [descriptor setOutputURL:[NSURL fileURLWithPath:name]];
            NSError* why = nil;
            BOOL started = [manager startCaptureWithDescriptor:descriptor error:&why];
            [descriptor release];
            return started ? (mr_error){0}
                           : failure(why, "Metal does not say why it captures nothing");
        } @catch (NSException* exception) {
            return thrown(exception);
        }
    }
}

void mr_stop_capture(void) {
    @autoreleasepool {
        @try {
            [[MTLCaptureManager sharedCaptureManager] stopCapture];
        } @catch (NSException* exception) {
            // Nothing was captured.
        }
    }
}
