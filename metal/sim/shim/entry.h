// entry.h: the names that package msl's rewrite uses: registrations of kernels, constants and threadgroup variables,
// which run when the library is loaded, and the passing of arguments.
#pragma once

namespace sim::shim {

inline Kernel* kernels;
inline FunctionConstant* constants;
inline Derived* derived;

// ConstantOf registers a function constant.
template <class T>
struct ConstantOf : FunctionConstant {
    ConstantOf(unsigned index, const char* name, T& value)
        : FunctionConstant{index, sizeof(T), name, &value, false, constants} {
        constants = this;
    }
};

// DerivedOf registers how a constant is computed from function constants.
struct DerivedOf : Derived {
    explicit DerivedOf(void (*compute)()) : Derived{compute, derived} { derived = this; }
};

// Variables lists the variables that the kernel F declares in threadgroup memory.
template <auto F>
struct Variables {
    static inline ThreadgroupVariable* list;
};

template <auto F, int Index, class T, unsigned Align, bool Zeroed>
struct Variable : ThreadgroupVariable {
    Variable()
        : ThreadgroupVariable{sizeof(T), Align > alignof(T) ? Align : unsigned(alignof(T)),
                              0,         nullptr,
                              {},        Variables<F>::list,
                              Zeroed} {
        Variables<F>::list = this;
    }
    static inline Variable registered;
};

// variable returns the running threadgroup's copy of a variable. Its use of Variable::registered registers the variable.
template <auto F, int Index, class T, unsigned Align, bool Zeroed>
SIM_RUNTIME T& variable(const char* name, Position at) {
    ThreadgroupVariable& v = Variable<F, Index, T, Align, Zeroed>::registered;
    if (!v.name) {
        v.at = at;
        v.name = name;
    }
    return *reinterpret_cast<T*>(currentLane()->worker->threadgroupMemory + v.offset);
}

// The bindings of a parameter. P is its type.

template <int Index>
struct Buffer {
    template <class P>
    SIM_INLINE static P get(Lane* lane) {
        // No dispatch can bind an index from maxBuffers on.
        void* address = nullptr;
        if constexpr (Index < int(maxBuffers)) address = lane->worker->bindings[Index].address;
        if constexpr (__is_lvalue_reference(P)) {
            // An unbound reference must point to memory: the compiler may read it ahead of a test.
            alignas(64) static sim::uint8_t unbound[4096];
            return *reinterpret_cast<__remove_reference_t(P)*>(address ? address : unbound);
        } else {
            return reinterpret_cast<P>(address);
        }
    }
};

template <int Index>
struct Threadgroup {
    template <class P>
    SIM_INLINE static P get(Lane* lane) {
        Worker* w = lane->worker;
        return reinterpret_cast<P>(w->threadgroupMemory + w->threadgroupArguments[Index]);
    }
};

// SIM_BUILTIN is a position or a size: three numbers, of which a parameter takes as many as its type has.
#define SIM_BUILTIN(name, x, y, z)                                                                 \
    struct name {                                                                                  \
        template <class P>                                                                         \
        SIM_INLINE static P get(Lane* lane) {                                                      \
            Worker* w = lane->worker;                                                              \
            Simdgroup* g = lane->simdgroup;                                                        \
            (void)w, (void)g;                                                                      \
            using T = metal::remove_cv_t<P>;                                                       \
            if constexpr (metal::detail::size_of<T> == 1)                                          \
                return P(x);                                                                       \
            else if constexpr (metal::detail::size_of<T> == 2)                                     \
                return T(x, y);                                                                    \
            else                                                                                   \
                return T(x, y, z);                                                                 \
        }                                                                                          \
    };
#define SIM_BUILTIN3(name, ...)                                                                    \
    SIM_BUILTIN(name, SIM_AXIS(0, __VA_ARGS__), SIM_AXIS(1, __VA_ARGS__), SIM_AXIS(2, __VA_ARGS__))
#define SIM_AXIS(i, ...) ([&](int axis) { return __VA_ARGS__; }(i))

namespace builtin {
SIM_BUILTIN3(thread_position_in_grid, w->group[axis] * w->grid.threads[axis] + lane->position[axis])
SIM_BUILTIN3(threadgroup_position_in_grid, w->group[axis])
SIM_BUILTIN3(thread_position_in_threadgroup, lane->position[axis])
SIM_BUILTIN3(threads_per_threadgroup, w->grid.threads[axis])
SIM_BUILTIN3(dispatch_threads_per_threadgroup, w->grid.threads[axis])
SIM_BUILTIN3(threads_per_grid, w->grid.threads[axis] * w->grid.groups[axis])
SIM_BUILTIN3(threadgroups_per_grid, w->grid.groups[axis])
SIM_BUILTIN(thread_index_in_threadgroup, lane->thread, 0, 0)
SIM_BUILTIN(thread_index_in_simdgroup, lane->lane, 0, 0)
SIM_BUILTIN(thread_index_in_quadgroup, lane->lane % 4, 0, 0)
SIM_BUILTIN(simdgroup_index_in_threadgroup, g->index, 0, 0)
SIM_BUILTIN(quadgroup_index_in_threadgroup, lane->thread / 4, 0, 0)
SIM_BUILTIN(simdgroups_per_threadgroup, w->simdgroupCount, 0, 0)
SIM_BUILTIN(dispatch_simdgroups_per_threadgroup, w->simdgroupCount, 0, 0)
SIM_BUILTIN(quadgroups_per_threadgroup, (w->threadCount + 3) / 4, 0, 0)
SIM_BUILTIN(dispatch_quadgroups_per_threadgroup, (w->threadCount + 3) / 4, 0, 0)
SIM_BUILTIN(threads_per_simdgroup, lanesPerSimdgroup, 0, 0)
SIM_BUILTIN(thread_execution_width, lanesPerSimdgroup, 0, 0)
} // namespace builtin
#undef SIM_BUILTIN
#undef SIM_BUILTIN3
#undef SIM_AXIS

template <class F>
struct Call;
template <class... P>
struct Call<void (*)(P...)> {
    template <auto F, class... Bindings>
    static SIM_UNCHECKED void run(Lane* lane) {
        F(Bindings::template get<P>(lane)...);
    }
};

// EntryOf registers a kernel: a function, and the binding of each of its parameters.
template <auto F, class... Bindings>
struct EntryOf : Kernel {
    EntryOf(const char* name, unsigned maxThreads, unsigned constantMask)
        : Kernel{
              name,
              &Call<decltype(F)>::template run<F, Bindings...>,
              maxThreads,
              constantMask,
              &Variables<F>::list,
              0,
              0,
              kernels
          } {
        kernels = this;
    }
};

} // namespace sim::shim

// SIM_LIBRARY ends a rewritten file: the symbol that the runtime looks for in the object.
#if SIM_CHECKED
#define SIM_CHECK_TABLE &sim::checkHooks
#else
#define SIM_CHECK_TABLE nullptr
#endif
#define SIM_LIBRARY                                                                                \
    extern "C" __attribute__((visibility("default"))) sim::Library metalrank_library{              \
        sim::abiVersion,                                                                           \
        SIM_CHECKED,                                                                               \
        &sim::shim::kernels,                                                                       \
        &sim::shim::constants,                                                                     \
        &sim::shim::derived,                                                                       \
        &sim::shim::runtime,                                                                       \
        SIM_CHECK_TABLE,                                                                           \
        0,                                                                                         \
        0                                                                                          \
    };
