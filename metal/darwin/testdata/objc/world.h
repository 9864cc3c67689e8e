// world.h: a small Objective-C world with a Metal that writes down every message. What the shim does with it is the
// test's transcript.

#pragma once

#import <Metal/Metal.h>

// world is what the next messages meet.
typedef struct {
    bool no_default_device, no_devices, no_queue, no_fence; // nil from them
    bool no_gpu_entry, no_core_count, odd_core_count;       // in the system's registry
    bool no_set;                                            // of residency
    int system;                                             // macOS; 0: 15
    bool refuse;         // nil instead of a buffer, library, function or command buffer
    bool refuse_encoder; // nil instead of an encoder
    bool refuse_pipeline;
    bool silent;        // no NSError where something was refused
    const char* throws; // the method that throws an exception
    MTLCommandBufferStatus status;
} world_state;

extern world_state world;

// throw_if_asked throws an exception in the method that world.throws names.
void throw_if_asked(const char* method);

// world_complete ends the command buffer that was committed last: it calls its handler.
void world_complete(void);

// world_close says what is still alive.
void world_close(void);
