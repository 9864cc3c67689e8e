package sim

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// flopsHook is the function of hooks.cc that counts arithmetic.
const flopsHook = "metalrank_flops"

// One instruction of LLVM's language (LLVM Language Reference Manual), after the name of its result: arithmetic, one
// operation for every element, and a fused or fusable multiplication and addition, two operations for every element.
var (
	arithmetic  = regexp.MustCompile(`^(?:fadd|fsub|fmul|fdiv|frem) (?:[a-z]+ )*(?:<(\d+) x )?(?:half|bfloat|float|double)\b`)
	multiplyAdd = regexp.MustCompile(`\bcall\b.*@llvm\.(?:fmuladd|fma)\.(?:v(\d+))?b?f(?:16|32|64)\(`)

	attributeGroup  = regexp.MustCompile(`^attributes (#\d+) = \{.*\bsanitize_thread\b`)
	attributesUsed  = regexp.MustCompile(`#\d+`)
	blockLabel      = regexp.MustCompile(`^[-\w.$"]+:`)
	namedResultLine = regexp.MustCompile(`^\s+%\S+ = (.*)$`)
)

// countFLOPs makes a compiled kernel, in the text of LLVM's language, count its arithmetic: each basic block that has
// any calls flopsHook with its number of operations. Only functions that clang has instrumented count. The others are
// the shim's; their work is counted elsewhere, as a simdgroup's operation or a multiplication of matrices.
func countFLOPs(text string) string {
	lines := strings.Split(text, "\n")
	instrumented := map[string]bool{}
	for _, line := range lines {
		if group := attributeGroup.FindStringSubmatch(line); group != nil {
			instrumented[group[1]] = true
		}
	}
	var (
		out     strings.Builder
		block   []string // from its first arithmetic on
		flops   uint64   // of it
		counted bool     // the current function counts
	)
	flush := func() {
		if flops > 0 {
			fmt.Fprintf(&out, "  call void @%s(i64 %d)\n", flopsHook, flops)
		}
		for _, line := range block {
			out.WriteString(line)
		}
		block, flops = block[:0], 0
	}
	for i, line := range lines {
		switch {
		case strings.HasPrefix(line, "define "):
			counted = false
			for _, group := range attributesUsed.FindAllString(line, -1) {
				counted = counted || instrumented[group]
			}
		case line == "}":
			flush()
			counted = false
		case blockLabel.MatchString(line):
			flush()
		}
		n := uint64(0)
		if counted {
			n = flopsOf(line)
		}
		if i < len(lines)-1 {
			line += "\n"
		}
		if flops += n; flops > 0 {
			block = append(block, line)
		} else {
			out.WriteString(line)
		}
	}
	fmt.Fprintf(&out, "\ndeclare void @%s(i64)\n", flopsHook)
	return out.String()
}

// flopsOf returns how many operations one line does.
func flopsOf(line string) uint64 {
	instruction := namedResultLine.FindStringSubmatch(line)
	if instruction == nil {
		return 0
	}
	each := uint64(1)
	found := arithmetic.FindStringSubmatch(instruction[1])
	if found == nil {
		each, found = 2, multiplyAdd.FindStringSubmatch(instruction[1])
	}
	if found == nil {
		return 0
	}
	elements, err := strconv.ParseUint(found[1], 10, 32)
	if err != nil { // not a vector
		elements = 1
	}
	return each * elements
}
