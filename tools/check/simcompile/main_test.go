package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
)

func TestRun(t *testing.T) {
	if _, err := sim.FindCompiler(""); errors.Is(err, metal.ErrNoDevice) && os.Getenv("CI") != "true" {
		t.Skipf("no simulator: %v", err)
	}
	root := t.TempDir()
	for name, text := range map[string]string{
		"lib/twice.h":       "#pragma once\ninline float twice(float x) { return 2 * x; }\n",
		"kernels/ok.metal":  "#include <metal_stdlib>\n#include \"lib/twice.h\"\nkernel void k(device float* y [[buffer(0)]], uint i [[thread_position_in_grid]]) { y[i] = twice(y[i]); }\n",
		"kernels/bad.metal": "#include <metal_stdlib>\nkernel void k(device float* y [[buffer(0)]]) {\n    y[0] = metal::no_such_function(1.0f);\n}\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good, bad := filepath.Join(root, "kernels", "ok.metal"), filepath.Join(root, "kernels", "bad.metal")
	for _, c := range []struct {
		name   string
		args   []string
		status int
		out    string // a part of stdout and stderr together
	}{
		{"good", []string{"--root", root, good}, 0, "ok    checked"},
		{"relative to root", []string{"--root", root, "kernels/ok.metal"}, 0, "ok    plain"},
		{"bad", []string{"--root", root, good, bad}, 1, "kernels/bad.metal:3"},
		{"unknown name", []string{"--root", root, bad}, 1, "no_such_function"},
		{"no such file", []string{"--root", root, "kernels/none.metal"}, 1, "kernels/none.metal"},
		{"nothing", nil, 2, "no files"},
		{"the compiler", []string{"--compiler"}, 0, "clang"},
	} {
		var out bytes.Buffer
		if status := run(t.Context(), c.args, cli.Streams{Out: &out, Err: &out}); status != c.status || !strings.Contains(out.String(), c.out) {
			t.Errorf("%s: status %d, want %d; output %q, want a part %q", c.name, status, c.status, out.String(), c.out)
		}
	}
}
