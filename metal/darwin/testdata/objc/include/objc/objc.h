// objc.h: what the compiler doesn't know by itself of GNU's runtime; id, Class and SEL it does.

#pragma once

typedef unsigned char BOOL;

#define YES ((BOOL)1)
#define NO  ((BOOL)0)
#define nil ((id)0)

id class_createInstance(Class type, unsigned long extra);
const char* object_getClassName(id object);
