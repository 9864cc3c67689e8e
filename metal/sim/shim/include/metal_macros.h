// The part of Metal's standard library for a kernel's preprocessor: macros, and nothing else. The declarations come
// later, with the shim, so that only the kernel's text is rewritten.
// Values: Metal Shading Language Specification 3.1, "Math functions" and "Numeric limits".
#pragma once

#define __METAL__         1
#define __METAL_VERSION__ 310
#define __HAVE_BFLOAT__   1

#define METAL_FUNC  inline __attribute__((always_inline))
#define METAL_CONST const

#define INFINITY __builtin_inff()
#define NAN      __builtin_nanf("")

#define FLT_MAX      3.40282346638528859812e+38f
#define FLT_MIN      1.17549435082228750797e-38f
#define FLT_EPSILON  1.19209289550781250000e-07f
#define FLT_DIG      6
#define FLT_MANT_DIG 24
#define MAXFLOAT     FLT_MAX
#define HALF_MAX     6.5504e+04h
#define HALF_MIN     6.103515625e-05h
#define HALF_EPSILON 9.765625e-04h
#define MAXHALF      HALF_MAX
#define CHAR_BIT     8
#define CHAR_MAX     127
#define CHAR_MIN     (-128)
#define SCHAR_MAX    127
#define SCHAR_MIN    (-128)
#define UCHAR_MAX    255
#define SHRT_MAX     32767
#define SHRT_MIN     (-32768)
#define USHRT_MAX    65535
#define INT_MAX      2147483647
#define INT_MIN      (-2147483647 - 1)
#define UINT_MAX     4294967295u
#define LONG_MAX     9223372036854775807L
#define LONG_MIN     (-9223372036854775807L - 1)
#define ULONG_MAX    18446744073709551615UL

#define M_E_F        2.71828182845904523536f
#define M_LOG2E_F    1.44269504088896340736f
#define M_LOG10E_F   0.434294481903251827651f
#define M_LN2_F      0.693147180559945309417f
#define M_LN10_F     2.30258509299404568402f
#define M_PI_F       3.14159265358979323846f
#define M_PI_2_F     1.57079632679489661923f
#define M_PI_4_F     0.785398163397448309616f
#define M_1_PI_F     0.318309886183790671538f
#define M_2_PI_F     0.636619772367581343076f
#define M_2_SQRTPI_F 1.12837916709551257390f
#define M_SQRT2_F    1.41421356237309504880f
#define M_SQRT1_2_F  0.707106781186547524401f
#define M_PI_H       3.14159265358979323846h
#define M_LOG2E_H    1.44269504088896340736h
#define M_SQRT2_H    1.41421356237309504880h
#define M_SQRT1_2_H  0.707106781186547524401h
