// walk.h: reads a list field by field, by the names in shim.h.

#pragma once

#include "../shim.h"

enum { mr_fields_per_command = 1 + 2 * mr_max_buffers + mr_max_threadgroup_arguments + 4 + 6 };

// mr_walk returns the sum of all fields and all argument bytes; fields may be null.
uint64_t mr_walk(
    const mr_command* commands,
    uint64_t count,
    const uint8_t* arguments,
    uint64_t* fields
);
