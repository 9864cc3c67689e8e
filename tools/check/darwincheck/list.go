package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A goPackage is a package as `go list` describes it, built for darwin/arm64 with cgo. A package with tests comes more
// than once: "p", "p [p.test]" with the tests in it, "p_test [p.test]".
type goPackage struct {
	ImportPath string
	Name       string
	Dir        string
	GoFiles    []string          // in Dir, without those of cgo
	CgoFiles   []string          // in Dir
	MFiles     []string          // Objective-C, in Dir
	CgoCFLAGS  []string          // of #cgo lines and the environment
	ImportMap  map[string]string // from the path in an import line to the ImportPath that it means here
	Standard   bool
	Module     *struct {
		Main      bool
		GoVersion string
		Dir       string
	}
	Error *struct{ Pos, Err string }
}

// ours says whether the package belongs to the module that is checked.
func (p *goPackage) ours() bool { return p.Module != nil && p.Module.Main }

// goFiles returns the paths of all files that the Go compiler would get, directly or through cgo.
func (p *goPackage) goFiles() []string {
	paths := make([]string, 0, len(p.GoFiles)+len(p.CgoFiles))
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
		paths = append(paths, filepath.Join(p.Dir, name))
	}
	return paths
}

// darwinEnvironment makes the go command build for a Mac.
func darwinEnvironment() []string { return append(os.Environ(), darwinVariables()...) }

func darwinVariables() []string { return []string{"GOOS=darwin", "GOARCH=arm64", "CGO_ENABLED=1"} }

// list returns the packages that match patterns, their tests and all that they depend on; a package comes after its
// dependencies.
func list(ctx context.Context, patterns ...string) ([]*goPackage, error) {
	const fields = "ImportPath,Name,Dir,GoFiles,CgoFiles,MFiles,CgoCFLAGS,ImportMap,Standard,Module,Error"
	args := append([]string{"list", "-e", "-deps", "-test", "-buildvcs=false", "-json=" + fields, "--"}, patterns...)
	command := exec.CommandContext(ctx, "go", args...)
	command.Env = darwinEnvironment()
	var complaints bytes.Buffer
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, complaints.Bytes())
	}
	var packages []*goPackage
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		p := new(goPackage)
		if err := decoder.Decode(p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		// The main function that runs tests is not written until they are built.
		if generated := p.Name == "main" && strings.HasSuffix(p.ImportPath, ".test"); !generated {
			packages = append(packages, p)
		}
	}
}
