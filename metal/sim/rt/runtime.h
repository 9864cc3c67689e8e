// Declarations that the runtime's own files share: devices, workers, and their calls into the checker.
#pragma once

#include "abi.h"
#include "rt.h"

#include <pthread.h>

namespace sim {

struct Device;

// Dispatch is one command while it runs.
struct Dispatch {
    Device* device;
    const rtCommand* command;
    const Kernel* kernel;
    Library* library;
    rtReport* report; // guarded by Device.mu
    uint32_t index;   // in its list
    uint64_t groupCount;
    uint64_t nextGroup; // atomic; beyond groupCount: none left
    bool stop;          // atomic; a group failed
};

// Runner is a Worker with the fields that only the runtime needs.
struct Runner : Worker {
    Device* device;
    Dispatch* dispatch; // null between dispatches
    pthread_t thread;
    void* schedulerStack; // stack pointer of the host thread while a fiber runs
    uint8_t* stacks;      // maxThreads fibers
    uint8_t* mapped;      // the mapping that holds stacks
    uint8_t* alternate;   // the signal stack
    Simdgroup* simdgroups;
    uint64_t random; // 0: in order
    uint32_t linearGroup;
    uint32_t finished;        // lanes of the group that have returned
    uint32_t threadgroupUsed; // bytes of threadgroupMemory, gaps included
    Lane* lanes[maxThreads];
    bool failed; // the group was given up
};

// The size of the mapping behind Worker.threadgroupMemory: all that a kernel may use, with gaps, and room for overruns.
constexpr uint64_t threadgroupRegion = 128 << 10;

struct Device {
    uint8_t* region;
    uint64_t regionSize;
    bool checked;
    uint64_t seed;
    uint32_t runnerCount;
    Runner* runners;
    void* checker; // the checker's own state of this device

    pthread_mutex_t mu;
    pthread_cond_t work, idle;
    Dispatch* dispatch;  // guarded by mu: the one for the workers to run
    uint64_t generation; // guarded by mu: counts dispatches
    uint32_t busy;       // guarded by mu: workers that have not finished it
    bool closing;        // guarded by mu
};

// Fault handling (fault.cc).
void installFaultHandlers();
// useSignalStack makes faults of the calling thread be handled on a stack of their own, and blocks all other signals.
void useSignalStack(uint8_t* stack, size_t size);
// failInHandler is fail without leaving the fiber.
void failInHandler(Runner*, rtFinding);

// Execution of one threadgroup (group.cc): the one with the index r->group.
void prepareGroups(Runner*);
void runGroup(Runner*);
extern const Runtime plainRuntime;

// Workers (dispatch.cc). startRunner maps the memory of r and starts its thread; stopRunner frees it when the thread has
// ended; runDispatch has all workers run d, and returns when they are done.
bool startRunner(Device*, Runner* r);
void stopRunner(Runner* r);
void runDispatch(Device*, Dispatch* d);

// runner returns the worker of the calling thread; null on a thread that is no worker's.
Runner* runner();

// fail adds a finding and gives up the dispatch. It must be called on a fiber of the runner's, or on its signal
// stack, and does not return.
[[noreturn]] void fail(Runner*, const char* kind, const char* message, Position);

// abandon is fail with a finding of the checker's, which has a pc as its place.
[[noreturn]] void abandon(Runner*, const rtFinding&);

// The checker's functions (check.cc) follow. They are called in checked mode only, where a device has one worker: every
// access has a place in one order, and findings and counters don't depend on the number of threads asked for.

bool checkOpen(Device*);
void checkClose(Device*);
// Memory was mapped (the checker fills it with its pattern of never written memory) or is about to be unmapped.
void checkMap(Device*, uint8_t* address, uint64_t size);
void checkUnmap(Device*, uint8_t* address, uint64_t size);
void checkPoison(Device*, uint8_t* address, uint64_t size);
// On the thread that calls execute, before the workers start and after they ended. List: begins a list.
void checkBeginList(Device*);
void checkBeginDispatch(Device*, Dispatch*);
void checkEndDispatch(Device*, Dispatch*);
// On a worker, before a threadgroup's first lane and after its last. Variables and arguments of threadgroup memory
// are laid out: their extents are in kernel->variables, and in worker->threadgroupArguments with the command's sizes.
void checkBeginGroup(Runner*);
void checkEndGroup(Runner*);
// All lanes of a threadgroup, or of a simdgroup, have arrived.
void checkThreadgroupBarrier(Runner*, uint32_t flags);
void checkSimdgroupBarrier(Runner*, Simdgroup*, uint32_t flags);
// The table for hooks.cc of a kernel object.
const CheckTable* checkTable();

} // namespace sim
