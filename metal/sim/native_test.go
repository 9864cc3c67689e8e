package sim

import (
	"path/filepath"
	"testing"
)

// TestNative compiles the C++ tests of the checker's parts in testdata, and runs them.
func TestNative(t *testing.T) {
	compiler := clang(t)
	for _, test := range []struct {
		name   string
		source string // "": a header alone
		runs   string
	}{
		{"order", "", "200000"},
		{"poison", "rt/poison.cc", "2000000"},
		{"shadow", "rt/shadow.cc", "20000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), test.name)
			args := []string{"-std=c++20", "-O1", "-Irt", "-o", program, "testdata/" + test.name + ".cc"}
			if test.source != "" {
				args = append(args, test.source)
			}
			run(t, compiler, args...)
			t.Log(run(t, program, test.runs))
		})
	}
}
