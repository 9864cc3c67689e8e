// ffi.h of the stub SDK: as much of libffi's interface (https://github.com/libffi/libffi, ffi.h for arm64) as darwinkit
// compiles against. Nothing of it ever runs.

#pragma once

#include <stddef.h>

typedef struct ffi_type {
    size_t size;
    unsigned short alignment;
    unsigned short type;
    struct ffi_type** elements;
} ffi_type;

enum { FFI_TYPE_STRUCT = 13 };

extern ffi_type ffi_type_void, ffi_type_pointer, ffi_type_float, ffi_type_double;
extern ffi_type ffi_type_uint8, ffi_type_uint16, ffi_type_uint32, ffi_type_uint64;
extern ffi_type ffi_type_sint8, ffi_type_sint16, ffi_type_sint32, ffi_type_sint64;

typedef enum { FFI_OK, FFI_BAD_TYPEDEF, FFI_BAD_ABI, FFI_BAD_ARGTYPE } ffi_status;
typedef enum { FFI_FIRST_ABI, FFI_SYSV, FFI_WIN64, FFI_DEFAULT_ABI = FFI_SYSV } ffi_abi;
typedef unsigned long ffi_arg;

typedef struct {
    ffi_abi abi;
    unsigned nargs;
    ffi_type** arg_types;
    ffi_type* rtype;
    unsigned bytes;
    unsigned flags;
} ffi_cif;

typedef struct {
    char trampoline[24];
    ffi_cif* cif;
    void (*function)(ffi_cif*, void*, void**, void*);
    void* data;
} ffi_closure;

ffi_status ffi_prep_cif(ffi_cif*, ffi_abi, unsigned count, ffi_type* result, ffi_type** arguments);
void ffi_call(ffi_cif*, void (*function)(void), void* result, void** arguments);
void* ffi_closure_alloc(size_t size, void** code);
void ffi_closure_free(void*);
ffi_status ffi_prep_closure_loc(
    ffi_closure*,
    ffi_cif*,
    void (*function)(ffi_cif*, void*, void**, void*),
    void* data,
    void* code
);
