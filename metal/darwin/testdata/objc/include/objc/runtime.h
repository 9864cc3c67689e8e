// runtime.h: as much of GNU's runtime as the shim uses.

#pragma once

#include <objc/objc.h>

Class objc_getClass(const char* name);
