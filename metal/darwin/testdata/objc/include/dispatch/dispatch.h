// dispatch.h: as much of libdispatch as the shim uses. world.m implements it.

#pragma once

#include <stddef.h>

typedef struct dispatch_data_s* dispatch_data_t;

#define DISPATCH_DATA_DESTRUCTOR_DEFAULT NULL

dispatch_data_t dispatch_data_create(const void* data, size_t size, void* queue, void* destructor);
void dispatch_release(dispatch_data_t data);
