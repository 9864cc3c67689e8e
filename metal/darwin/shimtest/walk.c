#include "walk.h"

// walker holds the place of the next field and the sum of the fields before it.
typedef struct {
    uint64_t sum;
    uint64_t* next; // may be null
} walker;

static void take(walker* w, uint64_t field) {
    w->sum += field;
    if (w->next) *w->next++ = field;
}

static void take_command(walker* w, const mr_command* command) {
    take(w, command->pipeline);
    for (int i = 0; i < mr_max_buffers; i++) {
        take(w, command->buffers[i].buffer);
        take(w, command->buffers[i].offset);
    }
    for (int i = 0; i < mr_max_threadgroup_arguments; i++)
        take(w, command->threadgroup_memory[i]);
    take(w, command->arguments_offset);
    take(w, command->arguments_size);
    take(w, command->arguments_index);
    take(w, command->barrier);
    for (int i = 0; i < 3; i++)
        take(w, command->groups[i]);
    for (int i = 0; i < 3; i++)
        take(w, command->threads[i]);
}

uint64_t mr_walk(
    const mr_command* commands,
    uint64_t count,
    const uint8_t* arguments,
    uint64_t* fields
) {
    walker w = {.next = fields};
    for (const mr_command* command = commands; command < commands + count; command++) {
        take_command(&w, command);
        for (uint32_t i = 0; i < command->arguments_size; i++)
            w.sum += arguments[command->arguments_offset + i];
    }
    return w.sum;
}
