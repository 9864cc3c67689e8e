// Foundation.h of the stub SDK: as much of Apple's as our own Objective-C needs, and no more. Each selector here is in
// tools/check/darwincheck/selectors.txt, which says where it was read; a test sees to that.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <CoreFoundation/CoreFoundation.h>
#include <MacTypes.h>
#include <objc/NSObject.h>
#include <objc/objc.h>

typedef struct {
    NSInteger majorVersion;
    NSInteger minorVersion;
    NSInteger patchVersion;
} NSOperatingSystemVersion;

@interface NSArray<__covariant Element> : NSObject
@property (readonly) NSUInteger count;
- (Element)objectAtIndex:(NSUInteger)index;
@end

typedef NSUInteger NSStringEncoding;
enum { NSUTF8StringEncoding = 4 };

@interface NSString : NSObject
+ (instancetype)stringWithCString:(const char*)text encoding:(NSStringEncoding)encoding;
@property (readonly) const char* UTF8String;
@end

@interface NSURL : NSObject
+ (instancetype)fileURLWithPath:(NSString*)path;
@end

@interface NSError : NSObject
@property (readonly) NSInteger code;
@property (readonly, copy) NSString* localizedDescription;
@end

@interface NSException : NSObject
@property (readonly, copy) NSString* name;
@property (readonly, copy) NSString* reason;
@end

@interface NSProcessInfo : NSObject
@property (class, readonly) NSProcessInfo* processInfo;
- (BOOL)isOperatingSystemAtLeastVersion:(NSOperatingSystemVersion)version;
@end

#include <Foundation/darwinkit.h>
