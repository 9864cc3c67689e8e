// IOKitLib.h of the stub SDK: as much of Apple's as our own Objective-C needs, and no more.

#pragma once

#include <CoreFoundation/CoreFoundation.h>

typedef uint32_t mach_port_t;
typedef mach_port_t io_object_t, io_service_t, io_registry_entry_t;
typedef uint32_t IOOptionBits;
typedef int kern_return_t;

CFMutableDictionaryRef IOServiceMatching(const char* name);
io_service_t IOServiceGetMatchingService(mach_port_t mainPort, CFMutableDictionaryRef matching);
CFTypeRef IORegistryEntryCreateCFProperty(
    io_registry_entry_t entry,
    CFStringRef key,
    CFAllocatorRef allocator,
    IOOptionBits options
);
kern_return_t IOObjectRelease(io_object_t object);
