// Part 1 of 4 of the stand-in for <metal_stdlib>: address spaces, types, and targets of the check's rewriting.
//
// All four only declare: types, address spaces and signatures. They define nothing that has to be run. Names, overloads
// and argument types follow the Metal Shading Language Specification, chapters 2 (types) and 6 (library). The check
// refuses names that are missing here; a kernel of ours that needs more adds them.
//
// The compiler is clang in C++17, where an address space is part of a type and there is no conversion between two of
// them. An object without one is the thread's own, as in Metal.
//
// Simplified: a packed_ vector is as large as its aligned twin.
#define device      __attribute__((address_space(1)))
#define constant    const __attribute__((address_space(2)))
#define threadgroup __attribute__((address_space(3)))
#define thread

typedef _Float16 half;
typedef __bf16 bfloat;
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long int64_t;
typedef unsigned long uint64_t;
typedef unsigned long size_t;
typedef long ptrdiff_t;

#define LINT_VECTOR(T, N)                                                                          \
    typedef T T##N __attribute__((ext_vector_type(N)));                                            \
    typedef T##N packed_##T##N;                                                                    \
    namespace metal {                                                                              \
    using ::T##N;                                                                                  \
    using ::packed_##T##N;                                                                         \
    }
#define LINT_VECTORS(T) LINT_VECTOR(T, 2) LINT_VECTOR(T, 3) LINT_VECTOR(T, 4)
LINT_VECTORS(bool)
LINT_VECTORS(char)
LINT_VECTORS(uchar)
LINT_VECTORS(short)
LINT_VECTORS(ushort)
LINT_VECTORS(int)
LINT_VECTORS(uint)
LINT_VECTORS(long)
LINT_VECTORS(ulong)
LINT_VECTORS(half)
LINT_VECTORS(bfloat)
LINT_VECTORS(float)

// ---- Targets of the check's rewriting ----------------------------------------------------------------------------

template <class T, int N>
using lint_vector = T __attribute__((ext_vector_type(N)));

template <class T>
struct lint_shape {
    static constexpr int components = 1;
    static constexpr bool isVector = false;
};
template <class T, int N>
struct lint_shape<T __attribute__((ext_vector_type(N)))> {
    static constexpr int components = N;
    static constexpr bool isVector = true;
};

// T(a, b, …), which C++ does not have for vectors: as many components as T has, or one that fills it.
template <class T, class... A>
constexpr T lint_make(A... a) {
    if constexpr (lint_shape<T>::isVector) {
        constexpr int given = (0 + ... + lint_shape<A>::components);
        static_assert(
            given <= 1 || given == lint_shape<T>::components,
            "a vector made of too many or too few components"
        );
        return T{};
    } else if constexpr (sizeof...(A) == 1 &&
                         (__is_floating_point(T) && ... && __is_floating_point(A))) {
        return T((float(a) + ...)); // clang has no cast between half and bfloat
    } else {
        return T(a...);
    }
}

// An object of a class, wherever it lies, as if it were the thread's: C++ cannot copy classes between address spaces,
// Metal can. Constants stay constant.
template <class T>
T& lint_thread(T&);
template <class T>
const T& lint_thread(const T&&);
template <class T>
T& lint_thread(device T&);
template <class T>
const T& lint_thread(const device T&);
template <class T>
const T& lint_thread(constant T&);
template <class T>
T& lint_thread(threadgroup T&);
template <class T>
const T& lint_thread(const threadgroup T&);

// The result of a vector comparison: bools in Metal, integers in C++.
template <class T, int N>
lint_vector<bool, N> lint_bools(lint_vector<T, N>);

// A variable in threadgroup memory: C++ has none in functions.
template <class T>
threadgroup T& lint_memory();

namespace metal {
template <class T, int N>
using vec = lint_vector<T, N>;
using ::bfloat;
using ::half;
using ::int16_t;
using ::int32_t;
using ::int64_t;
using ::int8_t;
using ::ptrdiff_t;
using ::size_t;
using ::uchar;
using ::uint;
using ::uint16_t;
using ::uint32_t;
using ::uint64_t;
using ::uint8_t;
using ::ulong;
using ::ushort;
} // namespace metal
