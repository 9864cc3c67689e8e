package cpu

/*
#include <stdlib.h>
#include "dispatch.h"
#include "kernels.h"
*/
import "C"

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/cpu"

	"github.com/metalrank/metalrank/engine/backend"
)

// VariantEnv is the environment variable that forces a variant.
const VariantEnv = "METALRANK_CPU"

// Variant is the kernels for one set of instructions, and whether this machine has them.
type Variant struct {
	Name      string
	Needs     string // the features that it needs, for people
	Available bool
}

// Variants lists the variants of this architecture, the best first; the last is always available.
func Variants() []Variant {
	x, arm := &cpu.X86, &cpu.ARM64
	avx2 := x.HasAVX2 && x.HasFMA
	avx512 := avx2 && x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL
	vnni := avx512 && x.HasAVX512VNNI
	all := []Variant{
		{"amx", "AMX-INT8, AMX-BF16, AVX-512 VNNI", vnni && x.HasAMXTile && x.HasAMXInt8 && x.HasAMXBF16 && x.HasAVX512BF16},
		{"avx512vnni", "AVX-512 F, BW, DQ, VL, VNNI", vnni},
		{"avx512", "AVX-512 F, BW, DQ, VL", avx512},
		{"avxvnni", "AVX2, FMA, AVX-VNNI", avx2 && x.HasAVXVNNI},
		{"avx2", "AVX2, FMA", avx2},
		{"i8mm", "I8MM", arm.HasI8MM},
		{"dotprod", "the dot product", arm.HasASIMDDP},
		{"neon", "Advanced SIMD", true},
		{"portable", "nothing", true},
	}
	return slices.DeleteFunc(all, func(v Variant) bool { return findKernels(v.Name) == nil })
}

// findKernels returns the C table of a variant, nil where this architecture has none.
func findKernels(name string) *C.struct_kernels {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	return C.find_kernels(text)
}

func nameOf(kernels *C.struct_kernels) string { return C.GoString(kernels.name) }

// dispatchTable lists the kernel of each operation, and why the variant was chosen.
func (l *loader) dispatchTable(why string) []backend.Dispatch {
	name := nameOf(l.kernels)
	var needs string
	var others []string
	for _, v := range Variants() {
		state := "not here, needs " + v.Needs
		if v.Available {
			state = "possible"
		}
		if v.Name == name {
			needs = v.Needs
			continue
		}
		others = append(others, v.Name+" ("+state+")")
	}
	matmul, attending, float := l.matmul(), l.attending(), C.GoString(l.kernels.f32.how)
	attention := "fp32"
	if attending.halves {
		attention = "bf16"
	}
	var table []backend.Dispatch
	for _, row := range [][3]string{
		{"layers' products", name + ": " + C.GoString(matmul.how), string(l.precision)},
		{"attention's products", name + ": " + C.GoString(attending.attend_how), attention},
		{"projection, pooler, classifier", name + ": " + float, "fp32 always"},
		{"softmax, norms, activation", name + ": " + float, "fp32 always"},
		{"variant", name, why + "; has " + needs},
		{"other variants", strings.Join(others, ", "), VariantEnv + " forces one"},
	} {
		table = append(table, backend.Dispatch{Operation: row[0], Kernel: row[1], Why: row[2]})
	}
	return table
}

// chooseVariant returns the named variant, or the best one where name is empty. why is the reason.
func chooseVariant(name string) (kernels *C.struct_kernels, why string, err error) {
	why = "the best that this CPU has"
	if name == "" {
		if name = os.Getenv(VariantEnv); name != "" {
			why = VariantEnv + "=" + name
		}
	} else {
		why = "asked for"
	}
	var usable []string
	for _, v := range Variants() {
		if !v.Available {
			if v.Name == name {
				return nil, "", fmt.Errorf("cpu: variant %q needs %s, which this CPU does not have", name, v.Needs)
			}
			continue
		}
		// The system may keep the tile registers from a process, as in some sandboxes.
		if v.Name == "amx" && (name == "" || name == v.Name) && C.request_tiles() == 0 {
			if name == v.Name {
				return nil, "", fmt.Errorf("cpu: variant %q: the system refuses the tile registers", name)
			}
			continue
		}
		if name == "" || name == v.Name {
			return findKernels(v.Name), why, nil
		}
		usable = append(usable, v.Name)
	}
	return nil, "", fmt.Errorf("cpu: variant is %q, want one of %s", name, strings.Join(usable, ", "))
}
