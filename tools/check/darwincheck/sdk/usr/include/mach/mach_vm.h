// Stub of Apple's header of this name: what prometheus/client_golang uses.
#pragma once
#include <mach/mach_types.h>

extern kern_return_t mach_vm_region(
    vm_map_read_t task,
    mach_vm_address_t* address,
    mach_vm_size_t* size,
    vm_region_flavor_t flavor,
    vm_region_info_t info,
    mach_msg_type_number_t* count,
    mach_port_t* object
);
