package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
)

// A typeChecker type-checks packages for darwin/arm64. It runs no cgo: it accepts every C.x as it is
// (types.Config.FakeImportC) and checks all else.
type typeChecker struct {
	files   *token.FileSet
	sizes   types.Sizes
	done    map[string]*types.Package // by ImportPath
	sources map[string][]byte         // of our files, by path as in messages
	overlay map[string][]byte         // text to read in place of a file, by path
	base    string                    // the folder that paths in messages are relative to; empty: none
}

func newTypeChecker(overlay map[string][]byte) *typeChecker {
	base, err := os.Getwd()
	if err != nil {
		base = "" // absolute paths will do
	}
	return &typeChecker{
		files:   token.NewFileSet(),
		sizes:   types.SizesFor("gc", "arm64"),
		done:    map[string]*types.Package{"unsafe": types.Unsafe},
		sources: map[string][]byte{},
		overlay: overlay,
		base:    base,
	}
}

// check checks one package and returns the problems; its dependencies must have been checked before. In packages that
// are not ours it checks only the declarations; in the standard library it ignores all errors.
func (c *typeChecker) check(p *goPackage) (problems []string) {
	if p.ImportPath == "unsafe" {
		return nil
	}
	report := func(err error) {
		if !p.Standard && !c.onSizeOfC(err) {
			problems = append(problems, err.Error())
		}
	}
	if p.Error != nil {
		report(fmt.Errorf("%s: %s", c.relative(p.Error.Pos), p.Error.Err))
	}
	config := types.Config{
		Importer:         importer{c.done, p.ImportMap},
		FakeImportC:      len(p.CgoFiles) > 0,
		IgnoreFuncBodies: !p.ours(),
		Sizes:            c.sizes,
		Error:            report,
	}
	if p.Module != nil && p.Module.GoVersion != "" {
		config.GoVersion = "go" + p.Module.GoVersion
	}
	checked, _ := config.Check(p.ImportPath, c.files, c.parse(p, report), nil) // report got the errors
	c.done[p.ImportPath] = checked
	return problems
}

// parse parses the files of p, as far as they can be.
func (c *typeChecker) parse(p *goPackage, report func(error)) []*ast.File {
	var parsed []*ast.File
	for _, path := range p.goFiles() {
		source, ok := c.overlay[path]
		if !ok {
			var err error
			if source, err = os.ReadFile(path); err != nil {
				report(err)
				continue
			}
		}
		if p.ours() {
			c.sources[c.relative(path)] = source
		}
		file, err := parser.ParseFile(c.files, c.relative(path), source, parser.SkipObjectResolution|parser.AllErrors)
		var several scanner.ErrorList
		switch {
		case errors.As(err, &several):
			for _, one := range several {
				report(one)
			}
		case err != nil:
			report(err)
		}
		if file != nil {
			parsed = append(parsed, file)
		}
	}
	return parsed
}

// onSizeOfC says whether an error is on a line with the size of a C type in it: we take that constant for 0, but
// cgo and `darwincheck link` know it.
func (c *typeChecker) onSizeOfC(err error) bool {
	fault, ok := errors.AsType[types.Error](err)
	if !ok {
		return false
	}
	at := fault.Fset.Position(fault.Pos)
	lines := bytes.Split(c.sources[at.Filename], []byte("\n"))
	return 0 < at.Line && at.Line <= len(lines) && bytes.Contains(lines[at.Line-1], []byte("unsafe.Sizeof(C."))
}

// relative shortens a path, or a position that begins with one, where it lies within base.
func (c *typeChecker) relative(path string) string {
	if short, err := filepath.Rel(c.base, path); err == nil && filepath.IsLocal(short) {
		return short
	}
	return path
}

// An importer finds the packages that were checked before.
type importer struct {
	done map[string]*types.Package
	real map[string]string // see goPackage.ImportMap
}

// Import implements types.Importer.
func (i importer) Import(path string) (*types.Package, error) {
	if other, ok := i.real[path]; ok {
		path = other
	}
	if found := i.done[path]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("package %s is not there for darwin/arm64", path)
}
