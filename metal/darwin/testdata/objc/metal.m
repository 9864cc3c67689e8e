// metal.m: a Metal that writes down every message and does nothing.

#import "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

world_state world = {.status = MTLCommandBufferStatusCompleted};

// Blocks are laid out as clang's Block-ABI-Apple.rst says. One that captures plain numbers is copied by its bytes.
typedef struct {
    void* isa;
    int flags, reserved;
    void (*invoke)(void*, id);
    const struct {
        unsigned long reserved, size;
    }* descriptor;
} block;

void* _NSConcreteStackBlock[32];
void* _NSConcreteGlobalBlock[32];

#define CLASS(name, protocol)                                                                      \
    @interface name : NSObject <protocol>                                                          \
    @end

CLASS(Fence, MTLFence)
CLASS(Function, MTLFunction)
CLASS(Library, MTLLibrary)
CLASS(Pipeline, MTLComputePipelineState)
CLASS(Buffer, MTLBuffer)
CLASS(Encoder, MTLComputeCommandEncoder)
CLASS(CommandBuffer, MTLCommandBuffer)
CLASS(Queue, MTLCommandQueue)
CLASS(ResidencySet, MTLResidencySet)
CLASS(Device, MTLDevice)

static void explain(NSError** error) {
    if (!world.silent) *error = [[NSError alloc] autorelease];
}

@implementation MTLCompileOptions
- (void)setLanguageVersion:(MTLLanguageVersion)version {
    printf("options setLanguageVersion:%#lx\n", version);
}
- (void)setFastMathEnabled:(BOOL)enabled {
    printf("options setFastMathEnabled:%d\n", enabled);
}
@end

@implementation MTLFunctionConstantValues
- (void)setConstantValue:(const void*)value type:(MTLDataType)type atIndex:(NSUInteger)index {
    printf(
        "constants setConstantValue:%#x type:%lu atIndex:%lu\n", *(const unsigned*)value, type,
        index
    );
}
@end

@implementation MTLCaptureDescriptor
- (void)setCaptureObject:(id)object {
    printf("descriptor setCaptureObject:%s\n", object_getClassName(object));
}
- (void)setDestination:(MTLCaptureDestination)destination {
    printf("descriptor setDestination:%ld\n", destination);
}
- (void)setOutputURL:(NSURL*)url {
    printf("descriptor setOutputURL:%s\n", object_getClassName(url));
}
@end

@implementation MTLCaptureManager
+ (MTLCaptureManager*)sharedCaptureManager {
    static MTLCaptureManager* shared;
    if (!shared) shared = class_createInstance(self, 0); // nobody's to release
    return shared;
}
- (BOOL)supportsDestination:(MTLCaptureDestination)destination {
    printf("manager supportsDestination:%ld\n", destination);
    return world.system == 0;
}
- (BOOL)startCaptureWithDescriptor:(MTLCaptureDescriptor*)descriptor error:(NSError**)error {
    throw_if_asked("capture");
    printf("manager startCaptureWithDescriptor:%s error:\n", object_getClassName(descriptor));
    if (world.refuse) explain(error);
    return !world.refuse;
}
- (void)stopCapture {
    throw_if_asked("capture");
    printf("manager stopCapture\n");
}
@end

@implementation Fence
@end

@implementation Function
@end

@implementation Library
- (id<MTLFunction>)newFunctionWithName:(NSString*)name
                        constantValues:(MTLFunctionConstantValues*)values
                                 error:(NSError**)error {
    printf("library newFunctionWithName:%s\n", [name UTF8String]);
    if (!world.refuse) return [Function alloc];
    explain(error);
    return nil;
}
@end

@implementation Pipeline
- (NSUInteger)maxTotalThreadsPerThreadgroup {
    return 896;
}
- (NSUInteger)threadExecutionWidth {
    return 32;
}
- (NSUInteger)staticThreadgroupMemoryLength {
    return 4096;
}
@end

@implementation Buffer
- (void*)contents {
    return self;
}
@end

@implementation Encoder
- (void)setComputePipelineState:(id<MTLComputePipelineState>)state {
    printf("encoder setComputePipelineState:%#lx\n", (unsigned long)state);
}
- (void)setBuffer:(id<MTLBuffer>)buffer offset:(NSUInteger)offset atIndex:(NSUInteger)index {
    printf("encoder setBuffer:%#lx offset:%lu atIndex:%lu\n", (unsigned long)buffer, offset, index);
}
- (void)setBytes:(const void*)bytes length:(NSUInteger)length atIndex:(NSUInteger)index {
    printf(
        "encoder setBytes:%.*s length:%lu atIndex:%lu\n", (int)length, (const char*)bytes, length,
        index
    );
}
- (void)setThreadgroupMemoryLength:(NSUInteger)length atIndex:(NSUInteger)index {
    printf("encoder setThreadgroupMemoryLength:%lu atIndex:%lu\n", length, index);
}
- (void)dispatchThreadgroups:(MTLSize)groups threadsPerThreadgroup:(MTLSize)threads {
    throw_if_asked("dispatch");
    printf(
        "encoder dispatchThreadgroups:%lu,%lu,%lu threadsPerThreadgroup:%lu,%lu,%lu\n",
        groups.width, groups.height, groups.depth, threads.width, threads.height, threads.depth
    );
}
- (void)memoryBarrierWithScope:(MTLBarrierScope)scope {
    printf("encoder memoryBarrierWithScope:%lu\n", scope);
}
- (void)waitForFence:(id<MTLFence>)fence {
    printf("encoder waitForFence:%s\n", fence ? "fence" : "nil");
}
- (void)updateFence:(id<MTLFence>)fence {
    printf("encoder updateFence:%s\n", fence ? "fence" : "nil");
}
- (void)endEncoding {
    printf("encoder endEncoding\n");
}
@end

static CommandBuffer* committed;

@implementation CommandBuffer
- (id<MTLComputeCommandEncoder>)computeCommandEncoderWithDispatchType:(MTLDispatchType)type {
    printf("commandBuffer computeCommandEncoderWithDispatchType:%lu\n", type);
    return world.refuse_encoder ? nil : [[Encoder alloc] autorelease];
}
- (void)addCompletedHandler:(void (^)(id<MTLCommandBuffer>))given {
    const block* from = (const block*)given;
    own = memcpy(malloc(from->descriptor->size), from, from->descriptor->size);
}
- (void)commit {
    printf("commandBuffer commit\n");
    throw_if_asked("commit");
    committed = [self retain]; // by Metal, until it has ended
}
- (void)complete {
    block* handler = own;
    handler->invoke(handler, self);
    free(handler);
}
- (MTLCommandBufferStatus)status {
    throw_if_asked("status");
    return world.status;
}
- (NSError*)error {
    return world.silent ? nil : [[NSError alloc] autorelease];
}
- (CFTimeInterval)GPUStartTime {
    return 1.5;
}
- (CFTimeInterval)GPUEndTime {
    return 1.75;
}
@end

void world_complete(void) {
    CommandBuffer* ended = committed;
    committed = nil;
    [ended complete];
    [ended release];
}

@implementation Queue
- (void)addResidencySet:(id<MTLResidencySet>)set {
    printf("queue addResidencySet:%s\n", object_getClassName(set));
}
- (id<MTLCommandBuffer>)commandBufferWithUnretainedReferences {
    printf("queue commandBufferWithUnretainedReferences\n");
    return world.refuse ? nil : [[CommandBuffer alloc] autorelease];
}
@end

@implementation MTLResidencySetDescriptor
@end

@implementation ResidencySet
- (void)addAllocation:(id<MTLAllocation>)allocation {
    printf("residency addAllocation:%s\n", object_getClassName(allocation));
    throw_if_asked("residency");
}
- (void)removeAllocation:(id<MTLAllocation>)allocation {
    printf("residency removeAllocation:%s\n", object_getClassName(allocation));
    throw_if_asked("residency");
}
- (void)commit {
    printf("residency commit\n");
    throw_if_asked("residency");
}
- (void)requestResidency {
    printf("residency requestResidency\n");
    throw_if_asked("residency");
}
- (void)endResidency {
    printf("residency endResidency\n");
    throw_if_asked("residency");
}
@end

@implementation MTLArchitecture
- (NSString*)name {
    return [NSString stringWithCString:"applegpu_g0s" encoding:NSUTF8StringEncoding];
}
@end

@implementation Device
- (MTLArchitecture*)architecture {
    throw_if_asked("architecture");
    return [[MTLArchitecture alloc] autorelease];
}
- (NSString*)name {
    return [NSString stringWithCString:"Apple M0" encoding:NSUTF8StringEncoding];
}
- (BOOL)hasUnifiedMemory {
    return YES;
}
- (MTLSize)maxThreadsPerThreadgroup {
    return MTLSizeMake(1024, 1023, 1022);
}
- (NSUInteger)maxThreadgroupMemoryLength {
    return 32768;
}
- (NSUInteger)maxBufferLength {
    return 1ul << 40;
}
- (uint64_t)recommendedMaxWorkingSetSize {
    return 1ul << 39;
}
- (BOOL)supportsFamily:(MTLGPUFamily)family {
    throw_if_asked("supportsFamily");
    return family == 1007;
}
- (id<MTLCommandQueue>)newCommandQueue {
    throw_if_asked("newCommandQueue");
    return world.no_queue ? nil : [Queue alloc];
}
- (id<MTLResidencySet>)newResidencySetWithDescriptor:(MTLResidencySetDescriptor*)descriptor
                                               error:(NSError**)error {
    printf("device newResidencySetWithDescriptor:%s\n", object_getClassName(descriptor));
    throw_if_asked("newResidencySet");
    return world.no_set ? nil : [ResidencySet alloc];
}
- (id<MTLFence>)newFence {
    return world.no_fence ? nil : [Fence alloc];
}
- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options {
    throw_if_asked("newBuffer");
    printf("device newBufferWithLength:%lu options:%#lx\n", length, options);
    return world.refuse ? nil : [Buffer alloc];
}
- (id<MTLBuffer>)newBufferWithBytesNoCopy:(void*)memory
                                   length:(NSUInteger)length
                                  options:(MTLResourceOptions)options
                              deallocator:(void (^)(void*, NSUInteger))deallocator {
    throw_if_asked("newBuffer");
    printf(
        "device newBufferWithBytesNoCopy:%#lx length:%lu options:%#lx deallocator:%s\n",
        (unsigned long)memory, length, options, deallocator ? "a block" : "nil"
    );
    return world.refuse ? nil : [Buffer alloc];
}
- (id<MTLLibrary>)newLibraryWithData:(dispatch_data_t)data error:(NSError**)error {
    throw_if_asked("newLibrary");
    printf("device newLibraryWithData:%s\n", (const char*)data);
    if (!world.refuse) return [Library alloc];
    explain(error);
    return nil;
}
- (id<MTLLibrary>)newLibraryWithSource:(NSString*)source
                               options:(MTLCompileOptions*)options
                                 error:(NSError**)error {
    throw_if_asked("newLibrary");
    printf(
        "device newLibraryWithSource:%s options:%s\n", [source UTF8String],
        options ? "options" : "nil"
    );
    if (!world.refuse) return [Library alloc];
    explain(error);
    return nil;
}
- (id<MTLComputePipelineState>)newComputePipelineStateWithFunction:(id<MTLFunction>)function
                                                             error:(NSError**)error {
    throw_if_asked("newPipeline");
    printf("device newComputePipelineStateWithFunction:%s\n", function ? "function" : "nil");
    if (!world.refuse_pipeline) return [Pipeline alloc];
    explain(error);
    return nil;
}
@end

id<MTLDevice> MTLCreateSystemDefaultDevice(void) {
    return world.no_default_device ? nil : [Device alloc];
}

NSArray<id<MTLDevice>>* MTLCopyAllDevices(void) {
    return [NSArray alloc];
}
