// swizzles.h: storage<T, 2…4>, in which an element and every swizzle of two to four elements has its name. Included by
// vec.h, in metal::detail. A vector of N elements has N² + N³ + N⁴ swizzles.

#define SIM_SWIZZLE(name, ...) swizzle<T, __VA_ARGS__> name;

#define SIM_ONE2(M) M(x, 0) M(y, 1)
#define SIM_TWO2(n, ...)                                                                           \
    SIM_SWIZZLE(n##x, __VA_ARGS__, 0)                                                              \
    SIM_SWIZZLE(n##y, __VA_ARGS__, 1)
#define SIM_THREE2(n, ...)                                                                         \
    SIM_TWO2(n##x, __VA_ARGS__, 0)                                                                 \
    SIM_TWO2(n##y, __VA_ARGS__, 1)
#define SIM_FOUR2(n, ...)                                                                          \
    SIM_THREE2(n##x, __VA_ARGS__, 0)                                                               \
    SIM_THREE2(n##y, __VA_ARGS__, 1)

#define SIM_ONE3(M) SIM_ONE2(M) M(z, 2)
#define SIM_TWO3(n, ...)                                                                           \
    SIM_TWO2(n, __VA_ARGS__)                                                                       \
    SIM_SWIZZLE(n##z, __VA_ARGS__, 2)
#define SIM_THREE3(n, ...)                                                                         \
    SIM_TWO3(n##x, __VA_ARGS__, 0)                                                                 \
    SIM_TWO3(n##y, __VA_ARGS__, 1)                                                                 \
    SIM_TWO3(n##z, __VA_ARGS__, 2)
#define SIM_FOUR3(n, ...)                                                                          \
    SIM_THREE3(n##x, __VA_ARGS__, 0)                                                               \
    SIM_THREE3(n##y, __VA_ARGS__, 1)                                                               \
    SIM_THREE3(n##z, __VA_ARGS__, 2)

#define SIM_ONE4(M) SIM_ONE3(M) M(w, 3)
#define SIM_TWO4(n, ...)                                                                           \
    SIM_TWO3(n, __VA_ARGS__)                                                                       \
    SIM_SWIZZLE(n##w, __VA_ARGS__, 3)
#define SIM_THREE4(n, ...)                                                                         \
    SIM_TWO4(n##x, __VA_ARGS__, 0)                                                                 \
    SIM_TWO4(n##y, __VA_ARGS__, 1)                                                                 \
    SIM_TWO4(n##z, __VA_ARGS__, 2)                                                                 \
    SIM_TWO4(n##w, __VA_ARGS__, 3)
#define SIM_FOUR4(n, ...)                                                                          \
    SIM_THREE4(n##x, __VA_ARGS__, 0)                                                               \
    SIM_THREE4(n##y, __VA_ARGS__, 1)                                                               \
    SIM_THREE4(n##z, __VA_ARGS__, 2)                                                               \
    SIM_THREE4(n##w, __VA_ARGS__, 3)

#define SIM_STORAGE(N, elements, colours)                                                          \
    template <class T>                                                                             \
    struct storage<T, N> {                                                                         \
        union {                                                                                    \
            T e[N];                                                                                \
            struct elements;                                                                       \
            struct colours;                                                                        \
            SIM_ONE##N(SIM_TWO##N) SIM_ONE##N(SIM_THREE##N) SIM_ONE##N(SIM_FOUR##N)                \
        };                                                                                         \
    };
SIM_STORAGE(2, { T x SIM_COMMA y; }, { T r SIM_COMMA g; })
SIM_STORAGE(3, { T x SIM_COMMA y SIM_COMMA z; }, { T r SIM_COMMA g SIM_COMMA b; })
SIM_STORAGE(
    4,
    { T x SIM_COMMA y SIM_COMMA z SIM_COMMA w; },
    { T r SIM_COMMA g SIM_COMMA b SIM_COMMA a; }
)
