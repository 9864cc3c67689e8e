package darwin

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/metal"
)

func TestCompileErrorFindsTheFirstComplaint(t *testing.T) {
	for _, c := range []struct {
		name, log, file string
		line            int
	}{
		{"with #line", "Compilation failed: \n\ngemm.metal:12:5: error: use of undeclared identifier 'x'\n", "gemm.metal", 12},
		{"without", "program_source:3:1: error: unknown type name 'flaot'\n", "main.metal", 3},
		{"warning first", "a.h:1:2: warning: unused\nsub/b.h:7:9: error: expected ';'\nc.h:8:1: error: e\n", "sub/b.h", 7},
		{"fatal", "a.metal:1:10: fatal error: 'x.h' file not found\n", "a.metal", 1},
		{"spaces", "  my kernels.metal:4:2: error: e\n", "my kernels.metal", 4},
		{"note only", "a.metal:1:10: note: declared here\n", "", 0},
		{"no place", "the source is not UTF-8", "", 0},
		{"no line", "a.metal:99999999999999999999:1: error: e", "", 0},
	} {
		got := compileError("k", "main.metal", errors.New(c.log))
		want := &metal.CompileError{Kernel: "k", File: c.file, Line: c.line, Log: c.log}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestExecErrorNamesTheCode(t *testing.T) {
	for _, c := range []struct {
		code            int
		reason          string
		transient, lost bool
	}{
		{0, "because", false, false},
		{1, "internal error: because", true, false},
		{2, "timeout: because", true, false},
		{3, "page fault: because", true, false},
		{4, "access revoked: because", false, true},
		{7, "not permitted: because", false, true},
		{8, "out of memory: because", true, false},
		{9, "invalid resource: because", false, false},
		{11, "device removed: because", false, true},
		{99, "because", false, false},
	} {
		got := execError(&nativeError{code: c.code, text: "because"})
		if diff := cmp.Diff(&metal.ExecError{Code: c.code, Reason: c.reason, Transient: c.transient, Lost: c.lost}, got); diff != "" {
			t.Errorf("code %d (-want +got):\n%s", c.code, diff)
		}
		if !strings.Contains(got.Error(), c.reason) {
			t.Errorf("code %d: the text is %q, want it to say %q", c.code, got, c.reason)
		}
	}
}
