package dialect

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/metal"
)

var spaceWord = regexp.MustCompile(`\b(device|constant|threadgroup) `)

// meansTheSame are changes after which a kernel is still valid Metal: each thread may have an array of its own. The
// simulator finds that the kernel needs a shared one.
var meansTheSame = []string{
	`threadgroup Running partial[simdWidth]; → Running partial[simdWidth];`,
}

var instead = map[string]string{"device ": "threadgroup ", "constant ": "threadgroup ", "threadgroup ": "device "}

// Every other removal or change of an address space in a kernel is reported.
func TestSpacesMatter(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a file forty times")
	}
	source, err := metal.LoadSource(os.DirFS("testdata"), "attention.metal")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(source.Text, "\n")
	mutants := 0
	for i, line := range lines {
		code, _, _ := strings.Cut(line, "//")
		if strings.Contains(code, "float total(") || strings.Contains(code, "metal_") {
			continue // overloads that only some instance needs
		}
		for _, at := range spaceWord.FindAllStringIndex(code, -1) {
			for _, space := range []string{"", instead[code[at[0]:at[1]]]} {
				changed := line[:at[0]] + space + line[at[1]:]
				what := strings.TrimSpace(line) + " → " + strings.TrimSpace(changed)
				if slices.Contains(meansTheSame, what) {
					continue
				}
				mutants++
				t.Run(fmt.Sprintf("%d/%d/%s", i+1, at[0], space), func(t *testing.T) {
					t.Parallel()
					text := strings.Join(lines[:i], "") + changed + strings.Join(lines[i+1:], "")
					if len(check(t, metal.Source{Name: source.Name, Text: text}, Options{})) == 0 {
						t.Errorf("not reported: %s", what)
					}
				})
			}
		}
	}
	if mutants < 35 {
		t.Errorf("%d changes, want 35 or more", mutants)
	}
}
