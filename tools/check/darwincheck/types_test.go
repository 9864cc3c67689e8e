package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	driver = module + "/metal/darwin"
	shims  = "_darwin.go" // how the names of the driver's files for macOS end
)

// A checkedDriver is the driver with all packages that it needs. Those are checked, the driver itself is not.
type checkedDriver struct {
	driver *goPackage
	others *typeChecker
}

func loadDriver(t *testing.T) checkedDriver {
	t.Helper()
	packages, err := list(t.Context(), driver)
	if err != nil {
		t.Fatal(err)
	}
	loaded := checkedDriver{others: newTypeChecker(nil)}
	for _, p := range packages {
		if p.ImportPath == driver {
			loaded.driver = p
			continue
		}
		if strings.HasPrefix(p.ImportPath, driver) { // with its tests
			continue
		}
		if problems := loaded.others.check(p); len(problems) > 0 {
			t.Fatalf("%s: %s", p.ImportPath, strings.Join(problems, "\n"))
		}
	}
	if loaded.driver == nil || len(loaded.driver.CgoFiles) == 0 {
		t.Fatalf("%s is not there for darwin/arm64, or has no cgo", driver)
	}
	return loaded
}

// check checks the driver with some of its files replaced.
func (d checkedDriver) check(overlay map[string][]byte) []string {
	checker := *d.others
	checker.overlay = overlay
	return checker.check(d.driver)
}

func TestDriverHasNoProblem(t *testing.T) {
	if problems := loadDriver(t).check(nil); len(problems) > 0 {
		t.Error(strings.Join(problems, "\n"))
	}
}

// Each seeded fault is made at the first fitting place in the driver's own files for macOS.
func TestSeededFaultsAreFound(t *testing.T) {
	loaded := loadDriver(t)
	seeds := []struct {
		name string
		seed seed
		want string // in one of the problems
	}{
		{"an argument of a wrong type", replaceArgument("objc", "[]chan int{}"), "cannot use []chan int{}"},
		{"an argument too few", replaceArgument("objc", ""), "not enough arguments"},
		{"an argument too many", replaceArgument("objc", "nil, 1, 2"), "too many arguments"},
		{"a function that darwinkit lacks", renameSelected("objc", func(s string) string { return s + "s" }), "undefined: objc."},
		{"an unexported name", renameSelected("objc", decapitalise), "undefined: objc."},
		{"a type that darwinkit lacks", renameSelected("dkmetal", func(s string) string { return "NS" + s }), "undefined: dkmetal.NS"},
		{"a field that our contract lacks", renameKey, "unknown field"},
		{"a method that the contract asks for, misnamed", renameMethod, "does not implement native"},
		{"a result too few", dropResult, "not enough return values"},
		{"no return at the end", dropReturn, "missing return"},
		{"an unused import", addImport, `"unsafe" imported as seeded and not used`},
		{"an unused variable", addVariable, "declared and not used"},
		{"no syntax", func(source []byte, _ *token.FileSet, _ *ast.File) []byte { return append(source, '}') }, "expected declaration"},
	}
	for _, test := range seeds {
		t.Run(test.name, func(t *testing.T) {
			path, changed := loaded.plant(t, test.seed)
			problems := loaded.check(map[string][]byte{path: changed})
			if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, test.want) }) {
				t.Fatalf("found %q, want one with %q", problems, test.want)
			}
			// Each names the file, a line and a column: the driver's, or that of a declaration elsewhere.
			for _, problem := range problems {
				if fields := strings.SplitN(problem, ":", 4); len(fields) < 4 || !isNumber(fields[1]) || !isNumber(fields[2]) {
					t.Errorf("%q is not file:line:col: text", problem)
				}
			}
		})
	}
}

// Only cgo knows the size of a C type.
func TestSizeOfCIsNotJudged(t *testing.T) {
	loaded := loadDriver(t)
	const source = `package darwin

// #include <stdint.h>
import "C"

import "unsafe"

var _ = [1]struct{}{}[%s-8]
`
	path := filepath.Join(loaded.driver.Dir, loaded.driver.CgoFiles[0])
	more := *loaded.driver
	more.CgoFiles = append(slices.Clone(more.CgoFiles), "seeded.go")
	loaded.driver = &more
	seeded := filepath.Join(filepath.Dir(path), "seeded.go")
	for size, want := range map[string]int{"unsafe.Sizeof(C.uint64_t(0))": 0, "unsafe.Sizeof(uint32(0))": 1} {
		if problems := loaded.check(map[string][]byte{seeded: fmt.Appendf(nil, source, size)}); len(problems) != want {
			t.Errorf("%s: %d problems %q, want %d", size, len(problems), problems, want)
		}
	}
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

// A seed returns a source with one fault in it, or nil where there is no place for it.
type seed func(source []byte, files *token.FileSet, file *ast.File) []byte

// plant makes the fault in the first file for macOS that has a place for it.
func (d checkedDriver) plant(t *testing.T, s seed) (path string, changed []byte) {
	t.Helper()
	for _, path := range d.driver.goFiles() {
		if !strings.HasSuffix(path, shims) {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, source, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if changed := s(source, files, file); changed != nil {
			return path, changed
		}
	}
	t.Fatal("the driver has no place for this fault")
	return "", nil
}

// replace returns source with text in place of the bytes between two positions.
func replace(source []byte, files *token.FileSet, from, to token.Pos, text string) []byte {
	return slices.Concat(source[:files.Position(from).Offset], []byte(text), source[files.Position(to).Offset:])
}

// first returns the first node of a type that fits, or the zero value.
func first[N ast.Node](file *ast.File, fits func(N) bool) (found N, ok bool) {
	ast.Inspect(file, func(node ast.Node) bool {
		if n, is := node.(N); is && !ok && fits(n) {
			found, ok = n, true
		}
		return !ok
	})
	return found, ok
}

func selects(expression ast.Expr, packageName string) bool {
	selector, ok := expression.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	name, ok := selector.X.(*ast.Ident)
	return ok && name.Name == packageName
}

func decapitalise(s string) string { return strings.ToLower(s[:1]) + s[1:] }

func replaceArgument(packageName, text string) seed {
	return func(source []byte, files *token.FileSet, file *ast.File) []byte {
		call, ok := first(file, func(c *ast.CallExpr) bool { return selects(c.Fun, packageName) && len(c.Args) == 1 })
		if !ok {
			return nil
		}
		return replace(source, files, call.Args[0].Pos(), call.Args[0].End(), text)
	}
}

func renameSelected(packageName string, rename func(string) string) seed {
	return func(source []byte, files *token.FileSet, file *ast.File) []byte {
		selector, ok := first(file, func(s *ast.SelectorExpr) bool { return selects(s, packageName) })
		if !ok {
			return nil
		}
		return replace(source, files, selector.Sel.Pos(), selector.Sel.End(), rename(selector.Sel.Name))
	}
}

func renameKey(source []byte, files *token.FileSet, file *ast.File) []byte {
	literal, ok := first(file, func(l *ast.CompositeLit) bool { return selects(l.Type, "metal") && len(l.Elts) > 0 })
	if !ok {
		return nil
	}
	key := literal.Elts[0].(*ast.KeyValueExpr).Key
	return replace(source, files, key.Pos(), key.End(), "Nonsense")
}

func renameMethod(source []byte, files *token.FileSet, file *ast.File) []byte {
	method, ok := first(file, func(f *ast.FuncDecl) bool { return f.Recv != nil && f.Name.Name == "submit" })
	if !ok {
		return nil
	}
	return replace(source, files, method.Name.Pos(), method.Name.End(), "submitted")
}

func dropResult(source []byte, files *token.FileSet, file *ast.File) []byte {
	statement, ok := first(file, func(r *ast.ReturnStmt) bool { return len(r.Results) == 2 })
	if !ok {
		return nil
	}
	return replace(source, files, statement.Results[0].Pos(), statement.Results[1].Pos(), "")
}

func dropReturn(source []byte, files *token.FileSet, file *ast.File) []byte {
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || len(function.Body.List) == 0 {
			continue
		}
		if last, ok := function.Body.List[len(function.Body.List)-1].(*ast.ReturnStmt); ok {
			return replace(source, files, last.Pos(), last.End(), "")
		}
	}
	return nil
}

func addImport(source []byte, files *token.FileSet, file *ast.File) []byte {
	return replace(source, files, file.Name.End(), file.Name.End(), "\nimport seeded \"unsafe\"\n")
}

func addVariable(source []byte, files *token.FileSet, file *ast.File) []byte {
	function, ok := first(file, func(f *ast.FuncDecl) bool { return f.Body != nil })
	if !ok {
		return nil
	}
	return replace(source, files, function.Body.Lbrace+1, function.Body.Lbrace+1, "\nnobody := 1\n")
}
