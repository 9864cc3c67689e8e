// The interface between a kernel object and the runtime. The shim includes it into every kernel, so it must not need
// any other header. Its structs are laid out the same in a plain and a checked build.
#pragma once

namespace sim {

// As <stdint.h> has them, which a kernel must not see: MSL's uint64_t is always unsigned long.
using uint8_t = __UINT8_TYPE__;
using uint16_t = __UINT16_TYPE__;
using uint32_t = __UINT32_TYPE__;
using uint64_t = __UINT64_TYPE__;
using uintptr_t = __UINTPTR_TYPE__;

// abiVersion changes with anything in this file; a kernel object of another version is not loaded.
constexpr uint32_t abiVersion = 3;

constexpr uint32_t lanesPerSimdgroup = 32;
constexpr uint32_t maxThreads = 1024;
constexpr uint32_t maxSimdgroups = maxThreads / lanesPerSimdgroup;
constexpr uint32_t maxBuffers = 16;
constexpr uint32_t maxThreadgroupArguments = 4;
constexpr uint32_t maxThreadgroupMemory = 32768; // bytes that a kernel may ask for
// Bytes between threadgroup variables, so that an overrun of one does not land in the next.
constexpr uint32_t threadgroupGap = 64;

// A fiber's stack is aligned to its size, and its Lane lies in the topmost page: so a kernel finds its Lane by its
// stack pointer alone, without thread-local storage, which would cost a call in a library loaded at run time.
constexpr uintptr_t stackSize = 128 << 10; // bytes
constexpr uintptr_t laneRegion = 4096;     // bytes

// Counters of a dispatch. The runtime keeps the first block in either build; the checker adds the second.
struct Counters {
    uint64_t threadgroups, threads;
    uint64_t threadgroupBarriers, simdgroupBarriers;
    uint64_t simdgroupOperations; // collectives, once per simdgroup; without matrix multiplications
    uint64_t matrixMultiplies;    // 8x8x8, once per simdgroup: 1024 FLOP each

    uint64_t flops; // additions, subtractions, multiplications, divisions of the kernel itself
    uint64_t transcendentals;           // exp, log, sin, sqrt, … of one number
    uint64_t deviceRead, deviceWritten; // bytes
    uint64_t deviceReadUnique, deviceWrittenUnique;
    uint64_t constantRead; // bytes, through `constant` pointers and arguments
    uint64_t threadgroupRead, threadgroupWritten;
    uint64_t atomics;
};

struct Lane;
struct Simdgroup;
struct Worker;

// A buffer, or the argument bytes, as bound to a dispatch.
struct Binding {
    uint8_t* address; // null: unset
    uint64_t size;    // bytes from address on to the buffer's end
    uint64_t flags;   // bindingReadOnly
};
constexpr uint64_t bindingReadOnly = 1; // memory of the caller's that no kernel may write
constexpr uint64_t bindingConstant = 2; // argument bytes

// Position says where in a kernel's source something is; the shim takes it from __builtin_FILE and _LINE.
struct Position {
    const char* file;
    uint32_t line;
};

// Simdgroup is 32 lanes and the values that they exchange. Bit i of a mask is lane i.
struct Simdgroup {
    uint32_t live;      // have not returned
    uint32_t runnable;  // live and not waiting
    uint32_t atOp;      // wait at a collective
    uint32_t atBarrier; // wait at a threadgroup_barrier
    uint32_t index;     // in the threadgroup

    // The collective that the lanes gather at: the last one to arrive runs it for all.
    void (*op)(Simdgroup*);
    Position opAt;
    Position barrierAt;
    uint32_t barrierFlags;

    Worker* worker;
    Lane* lanes[lanesPerSimdgroup];

    uint32_t parameter[lanesPerSimdgroup];
    alignas(64) uint8_t in[lanesPerSimdgroup][64];
    alignas(64) uint8_t out[lanesPerSimdgroup][64];
    // The three matrices of a multiplication, row-major, as float; c becomes the result.
    alignas(64) float a[64], b[64], c[64];
};

// Lane is one thread of a threadgroup, run by a fiber.
struct Lane {
    void* sp; // while it doesn't run
    Simdgroup* simdgroup;
    Worker* worker;
    uint32_t lane;   // in the simdgroup
    uint32_t thread; // in the threadgroup, linear
    uint32_t position[3];
};

// Geometry of a dispatch.
struct Grid {
    uint32_t groups[3];
    uint32_t threads[3]; // in a threadgroup
};

// Worker is one host thread that executes threadgroups, one at a time. These are the fields that kernels read; the
// runtime's own follow in runtime.h.
struct Worker {
    Grid grid;
    uint32_t group[3];
    uint32_t threadCount, simdgroupCount;
    const Binding* bindings;
    uint8_t* threadgroupMemory;
    uint32_t threadgroupArguments[maxThreadgroupArguments]; // offsets into threadgroupMemory
    Lane* current; // the lane that runs; null outside a kernel
    Counters counters;
};

// ThreadgroupVariable describes one `threadgroup T x[N]` of a kernel. They form a list, in no order.
struct ThreadgroupVariable {
    uint32_t size;   // bytes
    uint32_t align;  // that it is declared with, by its type or by alignas
    uint32_t offset; // into the worker's threadgroupMemory; set by the runtime at load
    const char* name;
    Position at;
    ThreadgroupVariable* next;
    bool zeroed; // zero before any thread runs, and so initialised
};

// Kernel is one entry point.
struct Kernel {
    const char* name;
    void (*run)(Lane*);
    uint32_t maxThreads;   // 0: unlimited
    uint32_t constantMask; // buffer indices that are in the `constant` address space
    ThreadgroupVariable** variables;
    uint32_t threadgroupBytes; // of its variables, gaps not counted; set by the runtime at load
    uint32_t threadgroupEnd;   // offset behind them and their gaps; set by the runtime at load
    Kernel* next;
};

// FunctionConstant is a `constant T x [[function_constant(i)]]`.
struct FunctionConstant {
    uint32_t index;
    uint32_t size; // bytes
    const char* name;
    void* value;
    bool defined;
    FunctionConstant* next;
};

// Derived is a constant with an initialiser that uses function constants: computed again when they are set.
struct Derived {
    void (*compute)();
    Derived* next; // the one declared before
};

// Undefined is a kind of undefined behaviour that the compiler's checks report.
enum class Undefined : uint32_t { misaligned, arrayIndex, division, shift };

enum class AtomicKind : uint32_t { load, store, update };

// CheckTable holds the runtime's functions that a checked kernel's hooks (hooks.cc) call; pc is the return address in
// the kernel. read[i] and write[i] are for 1 << i bytes.
struct CheckTable {
    void (*read[5])(const void* address, const void* pc);
    void (*write[5])(const void* address, const void* pc);
    void (*readRange)(const void* address, uint64_t size, const void* pc);
    void (*writeRange)(const void* address, uint64_t size, const void* pc);
    void (*atomic)(const void* address, uint64_t size, AtomicKind, const void* pc);
    void (*undefined)(Undefined what, uintptr_t addressOrIndex, const void* pc);
    void (*transcendental)();
    void (*flops)(uint64_t count);
};

// checkHooks is the table in hooks.cc of a checked kernel object. Library.check points to it.
extern const CheckTable* checkHooks __attribute__((visibility("hidden")));

// Runtime holds the functions that a kernel may call.
struct Runtime {
    // Makes a lane that has posted to a collective wait for the others.
    void (*waitForSimdgroup)(Lane*);
    void (*threadgroupBarrier)(Lane*, uint32_t flags, Position);
    void (*simdgroupBarrier)(Lane*, uint32_t flags, Position);
    // Ends the dispatch with an error. Does not return.
    void (*fail)(Lane*, const char* what, Position);
};

// Library is exported by a kernel object as `metalrank_library`.
struct Library {
    uint32_t abi;
    bool checked;
    Kernel** kernels;
    FunctionConstant** constants;
    Derived** derived;
    const Runtime** runtime;  // set by the runtime at load
    const CheckTable** check; // where hooks.cc keeps its table; null in a plain build
    uint32_t lock;            // 1 while a dispatch uses the function constants
    uintptr_t image;          // where the object was loaded; set by the runtime
};

// currentLane returns the lane that owns the running stack.
inline __attribute__((always_inline, no_sanitize("thread", "alignment"))) Lane* currentLane() {
    uintptr_t stack = reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) & ~(stackSize - 1);
    // 256 bytes apart from one lane to the next, so that they do not share one set of the cache.
    uintptr_t colour = (stack / stackSize % 16) * 256;
    return reinterpret_cast<Lane*>(stack + stackSize - laneRegion + colour);
}

} // namespace sim
