package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/tools/check/metallint/dialect"
)

// write puts files into a folder of its own and makes that the working directory.
func write(t *testing.T, files map[string]string) {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(folder)
}

func TestRun(t *testing.T) {
	files := map[string]string{
		"params.h":       "struct Args { uint n; };\n",
		"ops/good.metal": "#include <metal_stdlib>\n#include \"../params.h\"\nkernel void good(constant Args& a [[buffer(0)]], device uint* y [[buffer(1)]]) { y[0] = a.n; }\n",
		"ops/bad.metal":  "kernel void bad(device float* y [[buffer(0)]]) {\n    double x = y[0];\n}\n",
		"names":          "good\nmissing\n",
		"good":           "good\n",
		"empty/README":   "",
	}
	for _, tt := range []struct {
		name, args string
		want       int
		out, err   string // text that must be in the output
	}{
		{"nothing wrong", "ops/good.metal", 0, "", ""},
		{"launched", "--kernels good ops/good.metal", 0, "", ""},
		{"a folder", ".", 1, "ops/bad.metal:2:5: Metal has no double (double)\n", ""},
		{"house", "--house ops/good.metal", 1, "ops/good.metal:1:1: the comment at the top does not say Grid: (header)\n", ""},
		{"missing kernel", "--kernels names ops/good.metal", 1, "no file has the kernel missing (catalogue)\n", ""},
		{"nobody launches", "--kernels good ops", 1, "ops/bad.metal:1:1: nobody launches kernel bad (catalogue)\n", ""},
		{"no such file", "ops/none.metal", 2, "", "none.metal"},
		{"no shaders", "empty", 2, "", "no .metal file"},
		{"no arguments", "", 2, "", "no .metal file"},
		{"unknown flag", "-x", 2, "", "metallint --help"},
		{"no list", "--kernels none ops", 2, "", "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			write(t, files)
			var out, err strings.Builder
			got := run(t.Context(), strings.Fields(tt.args), cli.Streams{Out: &out, Err: &err})
			if strings.Contains(err.String(), dialect.ErrNoCompiler.Error()) && os.Getenv("CI") != "true" {
				t.Skip(err.String())
			}
			if got != tt.want || !strings.Contains(out.String(), tt.out) || !strings.Contains(err.String(), tt.err) {
				t.Errorf("exit status %d, want %d; printed %q, want %q; complained %q, want %q",
					got, tt.want, out.String(), tt.out, err.String(), tt.err)
			}
			if tt.want == 0 && out.String() != "" {
				t.Errorf("printed %q", out.String())
			}
		})
	}
}

// A file outside the working directory is found with its includes, and named as it was given.
func TestAbsolutePath(t *testing.T) {
	write(t, map[string]string{"a/k.metal": "#include \"h.h\"\n", "a/h.h": "inline double f() { return 1; }\n"})
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	problems, err := checkAll([]string{filepath.Join(folder, "a", "k.metal")}, dialect.Options{})
	if errors.Is(err, dialect.ErrNoCompiler) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if want := filepath.Join(folder, "a", "h.h"); err != nil || len(problems) != 1 || problems[0].File != want {
		t.Errorf("got %v, %v, want one problem in %s", problems, err, want)
	}
}
