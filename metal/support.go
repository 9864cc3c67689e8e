package metal

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// architecture matches the name that Apple gives to a GPU's architecture: a generation, and a letter for the chip's size.
var architecture = regexp.MustCompile(`^applegpu_g(\d{1,4})[a-z]?$`)

// Generation returns the generation in Architecture: 13 for the M1, 14 for the M2, and so on up to 17 for the M5; 0 where
// the name is not one of Apple's.
func (i *Info) Generation() int {
	found := architecture.FindStringSubmatch(i.Architecture)
	if found == nil {
		return 0
	}
	generation, _ := strconv.Atoi(found[1]) // digits, and few
	return generation
}

// Virtual says whether the device is a virtual machine's: macOS calls it "Apple Paravirtual device".
func (i *Info) Virtual() bool { return strings.Contains(i.Name, "Paravirtual") }

// OldestFamily is the first GPU family with simdgroup_matrix: that of the M1 (Apple, Metal Feature Set Tables).
const OldestFamily = "apple7"

// Unsupported returns an *UnsupportedError for a device that lacks a feature that kernels need, and nil for any other. A
// simulated device has them all.
func (i *Info) Unsupported() error {
	switch {
	case i.Simulated:
		return nil
	case i.Virtual():
		return &UnsupportedError{Device: i.Name, Reason: "a virtual machine's device has no SIMD-group matrices"}
	case !slices.Contains(i.Families, OldestFamily):
		return &UnsupportedError{Device: i.Name, Reason: fmt.Sprintf(
			"its families are [%s], and kernels need %s, which every Mac with Apple silicon has", strings.Join(i.Families, " "), OldestFamily)}
	}
	return nil
}
