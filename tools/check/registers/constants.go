package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

var (
	sourceFlags = []string{
		"-x", "c++", "-std=c++20", "-nostdinc", "-nostdinc++", "-I", folder, "-I", "metal/sim/shim", "-w",
		"-Wno-c++11-narrowing", "-Wno-reserved-user-defined-literal", "-fno-exceptions", "-fno-rtti", "-fno-math-errno",
	}
	optimise = []string{
		"-O2", "-fno-vectorize", "-fno-slp-vectorize", "-mllvm", "-disable-vector-combine", "-mllvm", "-inline-threshold=1000000",
		"-S", "-o", "-", "-",
	}
	amdgpu = []string{"--target=amdgcn-amd-amdhsa", "-mcpu=gfx1100", "-nogpulib"}
)

// constants are the values with which kernels are compiled: every operand of a BERT is there.
var constants = map[string]string{
	"activation": "1", "hasResidual": "true", "gatherA": "true", "gatherResidual": "false", "simdgroups": "4",
	"headSize": "64", "groupSize": "64", "wordBits": "4", "window": "0", "hasSlopes": "false",
	"hasPositionKeys": "false", "hasPositionQueries": "false", "gated": "false", "turned": "0", "normed": "false", "kept": "false",
	"parts": "7", "hasDense": "true", "headNorm": "false", "rms": "false", "causal": "false", "sharing": "1",
}

// others are values with which the kernels that have these constants are compiled once more.
var others = []map[string]string{
	{"window": "64", "hasSlopes": "true"},
	{"hasPositionKeys": "true", "hasPositionQueries": "true"},
	{"gated": "true", "normed": "true", "hasResidual": "false"},
	{"turned": "1536", "normed": "true", "hasResidual": "false"},
	{"kept": "true", "gatherResidual": "true", "activation": "0"},
	{"kept": "true", "parts": "4"},
	{"kept": "true", "parts": "8"},
	{"causal": "true", "sharing": "2", "headSize": "128"},
	{"headNorm": "true", "normed": "true"},
}

// without says whether a file has gemm.h's constants and no use for their values: a norm's products end otherwise, a split's in the
// plain way, and of a head only those with a norm differ.
func without(file string, values map[string]string) bool {
	return strings.HasPrefix(file, "gemm_norm") || strings.HasPrefix(file, "gemm_split") || file == "head.metal" && values["headNorm"] == ""
}

// suffixOf tells kernels with other values apart.
func suffixOf(values map[string]string) string {
	var suffix strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		suffix.WriteString(" " + name + "=" + values[name])
	}
	return suffix.String()
}

var (
	functionConstant = regexp.MustCompile(`static (\w+) (\w+); static sim::shim::ConstantOf<[^;]*;`)
	derivedConstant  = regexp.MustCompile(`static (\w+) (\w+); static sim::shim::DerivedOf \w+\(\[\] \{ \w+ = (.*?); \}\);`)
)

// hasAll says whether rewritten text has all of some function constants.
func hasAll(text string, values map[string]string) bool {
	var declared []string
	for _, match := range functionConstant.FindAllStringSubmatch(text, -1) {
		declared = append(declared, match[2])
	}
	for name := range values {
		if !slices.Contains(declared, name) {
			return false
		}
	}
	return true
}

// specialise gives the function constants of rewritten text values: these, and else those in constants.
func specialise(text string, values map[string]string) (string, error) {
	var err error
	text = functionConstant.ReplaceAllStringFunc(text, func(declaration string) string {
		match := functionConstant.FindStringSubmatch(declaration)
		value, ok := values[match[2]]
		if !ok {
			value, ok = constants[match[2]]
		}
		if !ok {
			err = fmt.Errorf("function constant %s has no value in %s", match[2], folder)
		}
		return fmt.Sprintf("static constexpr %s %s = %s(%s);", match[1], match[2], match[1], value)
	})
	return derivedConstant.ReplaceAllString(text, "static constexpr $1 $2 = $3;"), err
}
