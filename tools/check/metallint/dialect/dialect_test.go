package dialect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/metal"
)

// check runs Check where there is a compiler.
func check(t *testing.T, source metal.Source, options Options) []Problem {
	t.Helper()
	problems, err := Check(t.Context(), source, options)
	if errors.Is(err, ErrNoCompiler) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return problems
}

// prelude comes before each snippet.
const prelude = "#include <metal_stdlib>\nusing namespace metal;\n"

var mark = regexp.MustCompile(`//! (\S+)`)

func TestBad(t *testing.T) {
	for _, tt := range bad {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := prelude + tt.text + "\n"
			var want, got []string
			for i, line := range strings.Split(text, "\n") {
				if m := mark.FindStringSubmatch(line); m != nil {
					want = append(want, fmt.Sprintf("%d %s", i+1, m[1]))
				}
			}
			problems := check(t, metal.Source{Name: "bad.metal", Text: text}, Options{})
			for _, p := range problems {
				got = append(got, fmt.Sprintf("%d %s", p.Line, p.Rule))
				if p.File != "bad.metal" {
					t.Errorf("file %q in %s", p.File, p)
				}
			}
			if got = slices.Compact(got); !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q\n%s\n%v", got, want, text, problems)
			}
		})
	}
}

func TestGood(t *testing.T) {
	folders := []string{"testdata", "../../../../metal/metaltest/kernels"}
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.metal"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files in %s: %v", len(files), folder, err)
		}
		for _, file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) {
				t.Parallel()
				source, err := metal.LoadSource(os.DirFS(folder), filepath.Base(file))
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range check(t, source, Options{House: true}) {
					t.Error(p)
				}
			})
		}
	}
}

// Columns are those of the file, although the preprocessor and the rewriting change the line.
func TestColumn(t *testing.T) {
	text := prelude + "#define PAIR(a) a, a\n" +
		"kernel void k(device float* y   [[buffer(0)]]) {\n" +
		"\tfloat4 v  =   float4(1.0, PAIR(2), 3);   y[0] = v.x;  float* p = /* here */ y; }\n"
	problems := check(t, metal.Source{Name: "k.metal", Text: text}, Options{})
	if len(problems) != 1 {
		t.Fatalf("got %v, want one problem", problems)
	}
	line := strings.Split(text, "\n")[4]
	if p, want := problems[0], strings.Index(line, "p = ")+1; p.Line != 5 || p.Column != want {
		t.Errorf("got %s, want it at 5:%d", p, want)
	}
}

// A problem in an included file is reported at its place there.
func TestIncluded(t *testing.T) {
	text := "#line 1 \"k.metal\"\n#include <metal_stdlib>\n#line 1 \"common/h.h\"\n\ninline float f(float x) { return erf(x); }\n" +
		"#line 3 \"k.metal\"\nkernel void k(device float* y [[buffer(0)]]) { y[0] = f(y[1]); }\n"
	problems := check(t, metal.Source{Name: "k.metal", Text: text}, Options{})
	if len(problems) != 1 || problems[0].File != "common/h.h" || problems[0].Line != 2 {
		t.Errorf("got %v, want one problem at common/h.h:2", problems)
	}
}

func TestCatalogue(t *testing.T) {
	text := prelude + "kernel void a(device float* y [[buffer(0)]]) { y[0] = 1; }\n" +
		"template <typename T> kernel void t(device T* y [[buffer(0)]]) { y[0] = 1; }\n" +
		"template [[host_name(\"t_\" \"f16\")]] [[kernel]] decltype(t<half>) t<half>;\n"
	source := metal.Source{Name: "k.metal", Text: text}
	problems, kernels, err := CheckKernels(context.Background(), source, Options{Kernels: []string{"t_f16", "b"}})
	if errors.Is(err, ErrNoCompiler) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(kernels, []string{"a", "t_f16"}) {
		t.Errorf("kernels %q", kernels)
	}
	if len(problems) != 1 || problems[0].Rule != Catalogue || problems[0].Line != 3 {
		t.Errorf("got %v, want only a at line 3", problems)
	}
}

func TestNoCompiler(t *testing.T) {
	_, err := Check(t.Context(), metal.Source{Text: "kernel void k() {}"}, Options{Compiler: "/nonexistent/clang++"})
	if !errors.Is(err, ErrNoCompiler) {
		t.Errorf("got %v", err)
	}
}
