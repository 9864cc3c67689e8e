// foundation.m: the root class, autorelease pools, strings and errors. An object that is released too often, or
// autoreleased without a pool, ends the process; world_close counts those that are left.

#import "world.h"

#import <IOKit/IOKitLib.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int alive;

static void die(const char* what, id object) {
    printf("BUG: %s: %s\n", what, object_getClassName(object));
    exit(1);
}

@interface NSAutoreleasePool : NSObject {
@public
    NSAutoreleasePool* outer;
    int count;
    id objects[64];
}
- (void)drain;
@end

static NSAutoreleasePool* innermost;

@implementation NSObject
+ (instancetype)alloc {
    NSObject* object = class_createInstance(self, 0);
    object->references = 1;
    alive++;
    return object;
}
- (instancetype)init {
    return self;
}
- (instancetype)retain {
    references++;
    return self;
}
- (void)release {
    if (references <= 0) die("released too often", self);
    references--;
    if (references == 0) [self dealloc];
}
- (instancetype)autorelease {
    if (!innermost) die("autoreleased without a pool", self);
    innermost->objects[innermost->count++] = self;
    return self;
}
- (void)dealloc {
    alive--; // the memory stays, so that a second release is seen
}
@end

@implementation NSAutoreleasePool
- (instancetype)init {
    outer = innermost;
    innermost = self;
    return self;
}
- (void)drain {
    for (int i = 0; i < count; i++)
        [objects[i] release];
    innermost = outer;
    [self release];
}
@end

@implementation NSString
+ (instancetype)stringWithCString:(const char*)text encoding:(NSStringEncoding)encoding {
    if (encoding != NSUTF8StringEncoding || strchr(text, '\xff')) // which is never in UTF-8
        return nil;
    NSString* string = [[NSString alloc] autorelease];
    string->own = strdup(text);
    return string;
}
- (const char*)UTF8String {
    return own;
}
- (void)dealloc {
    free(own);
    [super dealloc];
}
@end

@implementation NSError
- (NSInteger)code {
    return 8;
}
- (NSString*)localizedDescription {
    return [NSString stringWithCString:"because" encoding:NSUTF8StringEncoding];
}
@end

@implementation NSException
- (NSString*)name {
    return [NSString stringWithCString:"NSInvalidArgumentException" encoding:NSUTF8StringEncoding];
}
- (NSString*)reason {
    return [NSString stringWithCString:"unrecognized selector" encoding:NSUTF8StringEncoding];
}
@end

void throw_if_asked(const char* method) {
    if (world.throws && strcmp(world.throws, method) == 0)
        @throw [[[NSException alloc] init] autorelease];
}

@implementation NSArray
- (NSUInteger)count {
    return world.no_devices ? 0 : 1;
}
- (id)objectAtIndex:(NSUInteger)index {
    printf("devices objectAtIndex:%lu\n", index);
    world.no_default_device = false;
    return [MTLCreateSystemDefaultDevice() autorelease];
}
@end

@implementation NSProcessInfo
+ (NSProcessInfo*)processInfo {
    return [[NSProcessInfo alloc] autorelease];
}
- (BOOL)isOperatingSystemAtLeastVersion:(NSOperatingSystemVersion)version {
    printf(
        "system at least %ld.%ld.%ld\n", version.majorVersion, version.minorVersion,
        version.patchVersion
    );
    return version.majorVersion <= (world.system ? world.system : 15);
}
@end

// CoreFoundation and IOKit: one entry in the registry, and one number.

long __CFConstantStringClassReference[32];

// constant_string is the layout of CFSTR's text.
typedef struct {
    void* isa;
    int flags;
    const char* text;
    long length;
} constant_string;

enum { gpu_entry = 7, number_type = 22, core_count = 24 };

CFMutableDictionaryRef IOServiceMatching(const char* name) {
    printf("registry matching %s\n", name);
    alive++;
    return (CFMutableDictionaryRef)name;
}

io_service_t IOServiceGetMatchingService(mach_port_t port, CFMutableDictionaryRef matching) {
    printf("registry entry on port %u\n", port);
    alive--; // it takes the dictionary over
    if (world.no_gpu_entry) return 0;
    alive++;
    return gpu_entry;
}

CFTypeRef IORegistryEntryCreateCFProperty(
    io_registry_entry_t entry,
    CFStringRef key,
    CFAllocatorRef allocator,
    IOOptionBits options
) {
    printf("registry entry %u, key %s\n", entry, ((const constant_string*)key)->text);
    if (world.no_core_count || allocator || options) return NULL;
    alive++;
    return &world;
}

kern_return_t IOObjectRelease(io_object_t object) {
    alive -= object == gpu_entry;
    return 0;
}

CFTypeID CFGetTypeID(CFTypeRef object) {
    return world.odd_core_count ? number_type + 1 : number_type;
}

CFTypeID CFNumberGetTypeID(void) {
    return number_type;
}

unsigned char CFNumberGetValue(CFNumberRef number, CFNumberType type, void* value) {
    printf("number of type %ld\n", type);
    *(int64_t*)value = core_count;
    return 1;
}

void CFRelease(CFTypeRef object) {
    alive--;
}

dispatch_data_t dispatch_data_create(const void* data, size_t size, void* queue, void* destructor) {
    printf("data of %zu bytes, %s\n", size, queue || destructor ? "borrowed" : "copied");
    alive++;
    return (dispatch_data_t)data;
}

void dispatch_release(dispatch_data_t data) {
    alive -= data ? 1 : 0;
}

void world_close(void) {
    printf("%d alive\n", alive);
    if (innermost) die("a pool is still open", innermost);
}

@implementation NSURL
+ (instancetype)fileURLWithPath:(NSString*)path {
    printf("NSURL fileURLWithPath:%s\n", [path UTF8String]);
    return [[self alloc] autorelease];
}
@end
