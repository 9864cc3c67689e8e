// darwinkit.h of the stub SDK: the rest of Foundation that darwinkit v0.5.0 needs, as its C code uses it. Our own code
// must not use it: these selectors are not in selectors.txt.

#pragma once

#include <Foundation/protocols.h>

@protocol NSCopying;

@class NSBundle;

@interface NSString (Darwinkit)
+ (instancetype)stringWithUTF8String:(const char*)text;
@end

@interface NSMutableArray<Element> : NSArray <Element>
+ (instancetype)arrayWithCapacity:(NSUInteger)count;
- (void)addObject:(Element)object;
@end

@interface NSData : NSObject
+ (instancetype)data;
+ (instancetype)dataWithBytes:(const void*)bytes length:(NSUInteger)length;
@property (readonly) NSUInteger length;
@property (readonly) const void* bytes;
@end

@interface NSDictionary<__covariant Key, __covariant Value> : NSObject
@property (readonly, copy) NSArray<Key>* allKeys;
- (Value)objectForKeyedSubscript:(Key)key;
@end

@interface NSMutableDictionary<Key, Value> : NSDictionary <Key, Value>
+ (instancetype)dictionaryWithCapacity:(NSUInteger)count;
- (void)setObject:(Value)object forKey:(id<NSCopying>)key;
@end
