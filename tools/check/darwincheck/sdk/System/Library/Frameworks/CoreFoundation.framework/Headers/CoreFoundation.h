#pragma once

#include <MacTypes.h>
#include <objc/objc.h>

typedef double CFTimeInterval; // seconds
