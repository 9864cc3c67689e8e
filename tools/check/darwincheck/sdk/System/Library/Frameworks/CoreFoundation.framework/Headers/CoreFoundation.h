// CoreFoundation.h of the stub SDK: as much of Apple's as our own Objective-C needs, and no more. Values are Apple's
// (CFNumber.h).

#pragma once

#include <stdint.h>

#include <MacTypes.h>
#include <objc/objc.h>

typedef double CFTimeInterval; // seconds
typedef long CFIndex;
typedef unsigned long CFTypeID;
typedef const void* CFTypeRef;
typedef const struct __CFAllocator* CFAllocatorRef;
typedef const struct __CFNumber* CFNumberRef;
typedef const struct __CFString* CFStringRef;
typedef struct __CFDictionary* CFMutableDictionaryRef;

typedef CFIndex CFNumberType;
enum { kCFNumberSInt64Type = 4 };

#define CFSTR(text) ((CFStringRef)__builtin___CFStringMakeConstantString(text))

CFTypeID CFGetTypeID(CFTypeRef object);
CFTypeID CFNumberGetTypeID(void);
unsigned char CFNumberGetValue(CFNumberRef number, CFNumberType type, void* value);
void CFRelease(CFTypeRef object);
