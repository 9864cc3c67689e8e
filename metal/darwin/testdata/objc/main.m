// main.m: runs the shim through one scenario, named by the argument, in a world where each message is written down.
// Lines with two dashes are the shim's answers.

#import "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../shim.h"

void metalrankCompleted(uintptr_t tag, int64_t code, const char* reason, double start, double end) {
    printf(
        "-- completed %#lx: code %ld, %s, %g to %g\n", (unsigned long)tag, (long)code,
        reason ? reason : "well", start, end
    );
}

static void say(const char* what, void* got, mr_error error) {
    printf("-- %s: %s", what, got ? "something" : "null");
    if (error.text) printf(", code %ld: %s", (long)error.code, error.text);
    printf("\n");
    free(error.text);
    [(id)got release];
}

static mr_device open_device(void) {
    mr_device opened = {0};
    mr_error error = mr_open(&opened);
    if (error.text) printf("-- open: %s\n", error.text);
    free(error.text);
    return opened;
}

static void close_device(mr_device* opened) {
    [(id)opened->residency release];
    [(id)opened->fence release];
    [(id)opened->queue release];
    [(id)opened->device release];
}

static void scenario_open(mr_device* opened) {
    mr_info info = {0};
    mr_device_info(opened->device, &info);
    printf(
        "-- %s, %s, %lu cores: %lu threads, %lu bytes of threadgroup memory, %#lx in a buffer, "
        "%#lx in all, "
        "unified %d\n",
        info.name, info.architecture, info.cores, info.max_threads_per_group,
        info.max_threadgroup_memory_size, info.max_buffer_size, info.working_set_size,
        info.unified_memory
    );
    free(info.name);
    free(info.architecture);
    const world_state worlds[] = {
        {.no_gpu_entry = true}, {.no_core_count = true}, {.odd_core_count = true}
    };
    for (int i = 0; i < 3; i++) {
        world = worlds[i];
        mr_device_info(opened->device, &info);
        printf("-- %lu cores\n", info.cores);
        free(info.name);
        free(info.architecture);
    }
    printf(
        "-- apple7 %d, apple8 %d\n", mr_supports_family(opened->device, 1007),
        mr_supports_family(opened->device, 1008)
    );
}

static void scenario_open_failures(void) {
    const world_state worlds[] = {
        {.no_default_device = true},
        {.no_default_device = true, .no_devices = true},
        {.no_queue = true},
        {.no_fence = true},
        {.system = 13},
        {.system = 14},
        {.no_set = true},
        {.throws = "newCommandQueue"},
        {.throws = "newResidencySet"},
    };
    for (size_t i = 0; i < sizeof worlds / sizeof worlds[0]; i++) {
        world = worlds[i];
        mr_device opened = open_device();
        printf(
            "-- device %d, queue %d, fence %d, residency set %d\n", !!opened.device, !!opened.queue,
            !!opened.fence, !!opened.residency
        );
        close_device(&opened);
    }
}

static void scenario_buffers(mr_device* opened) {
    for (int i = 0; i < 2; i++) {
        world.refuse = i == 1;
        void* contents = opened; // must be written over
        mr_error error = {0};
        void* buffer = mr_new_buffer(opened->device, 300, &contents, &error);
        printf("-- contents: %s\n", contents ? "something" : "null");
        say("buffer", buffer, error);
        error = (mr_error){0};
        void* borrowed = mr_new_buffer_no_copy(opened->device, (void*)0x4000, 0x8000, &error);
        say("no copy", borrowed, error);
    }
}

static void scenario_libraries(mr_device* opened) {
    const struct {
        const char* source;
        world_state world;
    } cases[] = {
        {"text", {0}},
        {"text", {.refuse = true}},
        {"text", {.refuse = true, .silent = true}},
        {"\xff", {0}},
    };
    for (int i = 0; i < 4; i++) {
        world = cases[i].world;
        mr_error error = {0};
        void* library = mr_load_library(opened->device, "lib", 3, &error);
        say("load", library, error);
        error = (mr_error){0};
        library = mr_compile_library(opened->device, cases[i].source, &error);
        say("compile", library, error);
    }
}

static void scenario_pipelines(mr_device* opened) {
    const struct {
        const char* kernel;
        world_state world;
    } cases[] = {
        {"gemm", {0}},
        {"gemm", {.refuse = true}},
        {"gemm", {.refuse_pipeline = true, .silent = true}},
        {"\xff", {0}},
    };
    const mr_constant constants[] = {{0, 53, 1}, {7, 3, 0x3f800000}};
    mr_error error = {0};
    void* library = mr_load_library(opened->device, "lib", 3, &error);
    for (int i = 0; i < 4; i++) {
        world = cases[i].world;
        mr_pipeline_info info = {0};
        error = (mr_error){0};
        void* pipeline =
            mr_new_pipeline(opened->device, library, cases[i].kernel, constants, 2, &info, &error);
        printf("-- %lu threads, %lu wide, ", info.max_threads, info.simd_width);
        printf("%lu bytes\n", info.threadgroup_memory_size);
        say("pipeline", pipeline, error);
    }
    [(id)library release];
}

static void submit(mr_device* opened, uint64_t count) {
    const mr_command commands[] = {
        {.pipeline = 0x100,
         .buffers = {[1] = {0x1000, 16}, [15] = {0x2000, 0}},
         .arguments_offset = 4,
         .arguments_size = 3,
         .groups = {2, 3, 4},
         .threads = {32, 1, 1}},
        {.pipeline = 0x100,
         .barrier = 1,
         .threadgroup_memory = {16, 0, 0, 64},
         .groups = {5, 1, 1},
         .threads = {8, 8, 2}},
        {.pipeline = 0x200,
         .arguments_size = 4,
         .arguments_index = 2,
         .groups = {1, 1, 1},
         .threads = {1, 1, 1}},
        {.pipeline = 0x100, .groups = {7, 1, 1}, .threads = {9, 1, 1}},
    };
    mr_error error = mr_submit(opened, commands, count, "abcdefg", 0xfeed);
    printf("-- submit: %s\n", error.text ? error.text : "well");
    free(error.text);
}

static void scenario_submit(mr_device* opened) {
    submit(opened, 4);
    world_complete();
}

static void scenario_submit_failures(mr_device* opened) {
    const world_state worlds[] = {
        {.refuse = true},
        {.refuse_encoder = true},
        {.status = 5},
        {.status = 5, .silent = true},
    };
    for (int i = 0; i < 4; i++) {
        world = worlds[i];
        submit(opened, 0);
        if (world.status) world_complete();
    }
}

static void scenario_capture(mr_device* opened) {
    say("start", NULL, mr_start_capture(opened->device, "pass.gputrace"));
    mr_stop_capture();
    say("name", NULL, mr_start_capture(opened->device, "\xff"));
    const world_state worlds[] = {
        {.system = 14}, {.refuse = true}, {.refuse = true, .silent = true}
    };
    for (size_t i = 0; i < sizeof worlds / sizeof worlds[0]; i++) {
        world = worlds[i];
        say("refused", NULL, mr_start_capture(opened->device, "pass.gputrace"));
    }
}

static void scenario_residency(mr_device* opened) {
    const world_state worlds[] = {{0}, {.throws = "residency"}};
    for (int i = 0; i < 2; i++) {
        world = worlds[i];
        void* contents;
        mr_error error = {0};
        void* buffer = mr_new_buffer(opened->device, 300, &contents, &error);
        mr_set_resident(opened->residency, buffer, true);
        mr_commit_residency(opened->residency);
        mr_keep_resident(opened->residency, true);
        mr_keep_resident(opened->residency, false);
        mr_set_resident(opened->residency, buffer, false);
        say("buffer", buffer, error);
    }
}

// Each function, with an exception from one of the methods that it calls. Some objects are left.
static void scenario_exceptions(mr_device* opened) {
    void* contents;
    mr_error error = {0};
    mr_info info;
    mr_pipeline_info pipeline;
    void* library = mr_load_library(opened->device, "lib", 3, &error);
    world.throws = "architecture";
    say("info", NULL, mr_device_info(opened->device, &info));
    world.throws = "supportsFamily";
    printf("-- apple7 %d\n", mr_supports_family(opened->device, 1007));
    world.throws = "newBuffer";
    say("buffer", mr_new_buffer(opened->device, 300, &contents, &error), error);
    error = (mr_error){0};
    say("no copy", mr_new_buffer_no_copy(opened->device, &error, 4096, &error), error);
    error = (mr_error){0};
    world.throws = "newLibrary";
    say("load", mr_load_library(opened->device, "lib", 3, &error), error);
    error = (mr_error){0};
    say("compile", mr_compile_library(opened->device, "text", &error), error);
    error = (mr_error){0};
    world.throws = "newPipeline";
    void* made = mr_new_pipeline(opened->device, library, "gemm", NULL, 0, &pipeline, &error);
    say("pipeline", made, error);
    world.throws = "dispatch";
    submit(opened, 1);
    world.throws = "commit";
    submit(opened, 0);
    world.throws = "status";
    submit(opened, 0);
    world_complete();
    world.throws = "capture";
    say("start", NULL, mr_start_capture(opened->device, "pass.gputrace"));
    mr_stop_capture();
    [(id)library release];
}

int main(int count, char** arguments) {
    const struct {
        const char* name;
        void (*run)(mr_device*);
    } scenarios[] = {
        {"open", scenario_open},
        {"buffers", scenario_buffers},
        {"libraries", scenario_libraries},
        {"pipelines", scenario_pipelines},
        {"submit", scenario_submit},
        {"submit failures", scenario_submit_failures},
        {"capture", scenario_capture},
        {"residency", scenario_residency},
        {"exceptions", scenario_exceptions},
    };
    const char* name = count > 1 ? arguments[1] : "";
    if (strcmp(name, "open failures") == 0) scenario_open_failures();
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++)
        if (strcmp(name, scenarios[i].name) == 0) {
            mr_device opened = open_device();
            scenarios[i].run(&opened);
            close_device(&opened);
        }
    world_close();
    return 0;
}
