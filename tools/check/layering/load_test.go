package layering

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// load reads the package clauses and import lines of every Go file below root, for every platform. module is the
// module's path, which is cut off the imports of our own packages.
func load(root, module string) ([]sourceFile, error) {
	var files []sourceFile
	tree := os.DirFS(root)
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipFolder(tree, name)
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		source, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parse(name, source, module)
		files = append(files, file)
		return err
	})
	return files, err
}

// skipFolder returns fs.SkipDir for folders that the go command skips too.
func skipFolder(tree fs.FS, name string) error {
	if name == "." {
		return nil
	}
	base := path.Base(name)
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	_, err := fs.Stat(tree, path.Join(name, "go.mod")) // another module
	switch {
	case err == nil:
		return fs.SkipDir
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

func parse(name string, source []byte, module string) (sourceFile, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return sourceFile{}, fmt.Errorf("layering: %w", err)
	}
	file := sourceFile{path: name, packageName: parsed.Name.Name, documented: parsed.Doc != nil}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return sourceFile{}, fmt.Errorf("layering: %s: import %s: %w", name, spec.Path.Value, err)
		}
		file.imports = append(file.imports, strings.TrimPrefix(imported, module+"/"))
	}
	return file, nil
}
