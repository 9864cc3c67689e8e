package metal

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Source is the text of a library and, optionally, a metallib compiled from it beforehand.
type Source struct {
	Name     string // for errors: the file that Text begins with
	Text     string // Metal Shading Language, without #include of files of our own
	Metallib []byte // from `build.sh metallib`; loaded instead of compiling Text where the driver can
}

// includeLine matches an #include of a file of our own; <metal_stdlib> and its like are the compiler's.
var includeLine = regexp.MustCompile(`^\s*#\s*include\s*"([^"]+)"\s*(//.*)?$`)

var pragmaOnce = regexp.MustCompile(`(?m)^\s*#\s*pragma\s+once\s*(//.*)?$`)

// LoadSource reads name from files and inlines every file that it includes, since a Metal library compiled from
// source has no file system. #line directives keep the compiler's messages pointing at the files. A file with
// #pragma once is inlined once. A path is relative to the file that names it, or else to the root of files.
func LoadSource(files fs.FS, name string) (Source, error) {
	inliner := inliner{files: files, once: map[string]bool{}}
	if err := inliner.file(name, nil); err != nil {
		return Source{}, fmt.Errorf("metal: %w", err)
	}
	return Source{Name: name, Text: inliner.text.String()}, nil
}

type inliner struct {
	files fs.FS
	text  strings.Builder
	once  map[string]bool
}

// resolve returns the path of included, a path in an #include of the file name.
func (in *inliner) resolve(name, included string) string {
	beside := path.Join(path.Dir(name), included)
	if _, err := fs.Stat(in.files, beside); err != nil {
		if fromRoot := path.Clean(included); fs.ValidPath(fromRoot) {
			if _, err := fs.Stat(in.files, fromRoot); err == nil {
				return fromRoot
			}
		}
	}
	return beside // also where no such file exists: reading it gives the best error
}

// file appends the file name. open lists the files that are being read, so that a cycle is found.
func (in *inliner) file(name string, open []string) error {
	if slices.Contains(open, name) {
		return fmt.Errorf("%s: included from itself: %s", name, strings.Join(append(open, name), " → "))
	}
	data, err := fs.ReadFile(in.files, name)
	if err != nil {
		return err
	}
	if pragmaOnce.Match(data) {
		if in.once[name] {
			return nil
		}
		in.once[name] = true
	}
	fmt.Fprintf(&in.text, "#line 1 %q\n", name)
	for i, text := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		include := includeLine.FindStringSubmatch(text)
		if include == nil {
			if pragmaOnce.MatchString(text) {
				text = "" // it has no meaning in a main file, and compilers warn
			}
			in.text.WriteString(text + "\n")
			continue
		}
		if err := in.file(in.resolve(name, include[1]), append(open, name)); err != nil {
			return fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
		fmt.Fprintf(&in.text, "#line %d %q\n", i+2, name)
	}
	return nil
}
