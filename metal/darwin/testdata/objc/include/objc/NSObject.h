// NSObject.h: the root class of the tests' Objective-C world, on GNU's runtime. world.m implements it.

#pragma once

#include <objc/objc.h>
#include <stddef.h>

typedef long NSInteger;
typedef unsigned long NSUInteger;

@protocol NSObject
- (instancetype)retain;
- (void)release;
- (instancetype)autorelease;
@end

__attribute__((objc_root_class))
@interface NSObject<NSObject> {
    Class isa;
    NSInteger references;
    void* own; // a subclass's; on this runtime a header that is Apple's leaves no other place
}
+ (instancetype)alloc;
- (instancetype)init;
- (void)dealloc;
@end
