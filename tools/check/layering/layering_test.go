package layering

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/metalrank/metalrank"

func TestModuleKeepsTheRules(t *testing.T) {
	files, err := load("../../..", module)
	if err != nil {
		t.Fatal(err)
	}
	// A walk that read no file would pass.
	if !slices.ContainsFunc(files, func(f sourceFile) bool { return f.path == "tools/check/layering/layering_test.go" }) {
		t.Fatalf("this very file is not among the %d that were read", len(files))
	}
	for _, breach := range check(files, allowed) {
		t.Error(breach)
	}
}

func TestRulesHaveNoCycle(t *testing.T) {
	var visit func(folder string, above []string)
	visit = func(folder string, above []string) {
		if slices.Contains(above, folder) {
			t.Fatalf("cycle: %s", strings.Join(append(above, folder), " -> "))
		}
		if r := ruleFor(folder, allowed); r != nil {
			for _, imported := range r.imports {
				visit(imported, append(above, folder))
			}
		}
	}
	for _, r := range allowed {
		visit(r.packages, nil)
	}
}

// good is a small module that keeps the rules.
func good() []sourceFile {
	return []sourceFile{
		{path: "cmd/metalrank/main.go", packageName: "main", imports: []string{"os", "engine", "httpapi"}},
		{path: "httpapi/server.go", packageName: "httpapi", documented: true, imports: []string{"engine"}},
		{path: "engine/engine.go", packageName: "engine", documented: true, imports: []string{"weights", "engine/reference"}},
		{path: "engine/errors.go", packageName: "engine", imports: []string{"errors"}},
		{path: "engine/reference/reference.go", packageName: "reference", documented: true, imports: []string{"weights"}},
		{path: "engine/cpu/cpu.go", packageName: "cpu", documented: true, imports: []string{"C", "unsafe"}},
		{path: "kernels/kernels.go", packageName: "kernels", documented: true, imports: []string{"metal"}},
		{path: "metal/metal.go", packageName: "metal", documented: true},
		{path: "metal/sim/sim.go", packageName: "sim", documented: true, imports: []string{"C", "metal"}},
		{path: "weights/weights.go", packageName: "weights", documented: true},
		{path: "weights/mmap_unix.go", packageName: "weights", imports: []string{"unsafe"}},
		{path: "weights/weightstest/write.go", packageName: "weightstest", documented: true, imports: []string{"weights"}},
		{path: "tools/sweep/main.go", packageName: "main", imports: []string{"engine", "metal/sim"}},
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name string
		add  sourceFile
		want []string
	}{
		{name: "as it is"},
		{
			name: "upwards",
			add:  sourceFile{path: "engine/x.go", packageName: "engine", imports: []string{"httpapi"}},
			want: []string{"engine/x.go: engine may not import httpapi"},
		},
		{
			name: "past a layer",
			add:  sourceFile{path: "httpapi/x.go", packageName: "httpapi", imports: []string{"weights"}},
			want: []string{"httpapi/x.go: httpapi may not import weights"},
		},
		{
			name: "from a leaf",
			add:  sourceFile{path: "weights/x.go", packageName: "weights", imports: []string{"metal"}},
			want: []string{"weights/x.go: weights may not import metal"},
		},
		{
			name: "sideways",
			add:  sourceFile{path: "engine/cpu/x.go", packageName: "cpu", imports: []string{"engine/reference"}},
			want: []string{"engine/cpu/x.go: engine/cpu may not import engine/reference"},
		},
		{
			name: "only on another platform",
			add:  sourceFile{path: "engine/x_darwin.go", packageName: "engine", imports: []string{"metal"}},
			want: []string{"engine/x_darwin.go: engine may not import metal"},
		},
		{
			name: "tools",
			add:  sourceFile{path: "engine/x.go", packageName: "engine", imports: []string{"tools/sweep"}},
			want: []string{"engine/x.go: engine may not import tools/sweep"},
		},
		{
			name: "a test helper, outside tests",
			add:  sourceFile{path: "engine/x.go", packageName: "engine", imports: []string{"weights/weightstest"}},
			want: []string{"engine/x.go: engine may not import weights/weightstest"},
		},
		{
			name: "a test helper, in a test",
			add:  sourceFile{path: "weights/x_test.go", packageName: "weights_test", imports: []string{"weights", "weights/weightstest"}},
		},
		{
			name: "sideways, in a test",
			add:  sourceFile{path: "engine/cpu/x_test.go", packageName: "cpu", imports: []string{"engine/reference"}},
		},
		{
			name: "upwards, in a test",
			add:  sourceFile{path: "engine/cpu/x_test.go", packageName: "cpu", imports: []string{"engine"}},
			want: []string{"engine/cpu/x_test.go: engine/cpu may not import engine"},
		},
		{
			name: "tools, in a test",
			add:  sourceFile{path: "cmd/metalrank/x_test.go", packageName: "main", imports: []string{"tools/sweep"}},
			want: []string{"cmd/metalrank/x_test.go: cmd/metalrank may not import tools/sweep"},
		},
		{
			name: "a package without a rule",
			add:  sourceFile{path: "extra/x.go", packageName: "extra", documented: true},
			want: []string{"extra: no rule names this package"},
		},
		{
			name: "unsafe",
			add:  sourceFile{path: "weights/x.go", packageName: "weights", imports: []string{"unsafe"}},
			want: []string{`weights/x.go: may not import "unsafe"`},
		},
		{
			name: "cgo, in a test",
			add:  sourceFile{path: "engine/x_test.go", packageName: "engine", imports: []string{"C"}},
			want: []string{`engine/x_test.go: may not import "C"`},
		},
		{
			name: "testing, outside tests",
			add:  sourceFile{path: "metal/x.go", packageName: "metal", imports: []string{"testing/fstest"}},
			want: []string{`metal/x.go: may not import "testing/fstest": programs link it`},
		},
		{
			name: "testing, in a test helper",
			add:  sourceFile{path: "weights/weightstest/x.go", packageName: "weightstest", imports: []string{"testing"}},
		},
		{
			name: "a name that says nothing",
			add:  sourceFile{path: "tools/common/x.go", packageName: "common", documented: true},
			want: []string{"tools/common: a package's name says what it is for"},
		},
		{
			name: "no comment",
			add:  sourceFile{path: "tools/bare/x.go", packageName: "bare"},
			want: []string{"tools/bare: no package comment"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			files := good()
			if test.add.path != "" {
				files = append(files, test.add)
			}
			if diff := cmp.Diff(test.want, check(files, allowed)); diff != "" {
				t.Errorf("breaches (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParse(t *testing.T) {
	const source = `//go:build darwin

// Package x is documented.
package x

// #include <stdlib.h>
import "C"

import (
	_ "embed"

	renamed "github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrankish"
)

func unfinished( {`
	got, err := parse("engine/x_darwin.go", []byte(source), module)
	if err != nil {
		t.Fatal(err)
	}
	want := sourceFile{
		path:        "engine/x_darwin.go",
		packageName: "x",
		documented:  true,
		imports:     []string{"C", "embed", "engine/backend", "github.com/metalrank/metalrankish"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sourceFile{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := parse("x.go", []byte("import"), module); err == nil {
		t.Error("no error for a file without a package clause")
	}
}
