package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/tools/check/metallint/dialect"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("metallint", flag.ContinueOnError)
	flags.SetOutput(stderr)
	house := flags.Bool("house", false, "hold the files to our house rules too")
	catalogue := flags.String("kernels", "", "`file` with the names of all kernels that are launched, one a line")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: metallint [-house] [-kernels FILE] FILE.metal|DIR...")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return 2
	}
	options := dialect.Options{House: *house}
	if *catalogue != "" {
		text, err := os.ReadFile(*catalogue)
		if err != nil {
			fmt.Fprintln(stderr, "metallint:", err)
			return 2
		}
		options.Kernels = strings.Fields(string(text))
	}
	files, err := shaders(flags.Args())
	if err == nil && len(files) == 0 {
		err = errors.New("no .metal file")
	}
	if err != nil {
		fmt.Fprintln(stderr, "metallint:", err)
		return 2
	}
	problems, err := checkAll(files, options)
	for _, p := range problems {
		fmt.Fprintln(stdout, p)
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "metallint:", err)
		return 2
	case len(problems) > 0:
		return 1
	}
	return 0
}

// shaders lists the .metal files that args name, and those below the folders that args name.
func shaders(args []string) ([]string, error) {
	var files []string
	for _, arg := range args {
		err := filepath.WalkDir(arg, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && (name == arg || filepath.Ext(name) == ".metal") {
				files = append(files, name)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// checkAll checks each file, and that every kernel that is launched is in one of them.
func checkAll(files []string, options dialect.Options) ([]dialect.Problem, error) {
	var all []dialect.Problem
	missing := map[string]bool{}
	for _, name := range options.Kernels {
		missing[name] = true
	}
	for _, file := range files {
		problems, kernels, err := check(file, options)
		if err != nil {
			return all, err
		}
		all = append(all, problems...)
		for _, k := range kernels {
			delete(missing, k)
		}
	}
	for _, name := range options.Kernels {
		if missing[name] {
			all = append(all, dialect.Problem{
				File: strings.Join(files, ", "), Rule: dialect.Catalogue, Message: fmt.Sprintf("no file has the kernel %s", name),
			})
		}
	}
	return all, nil
}

// check checks a file with all that it includes, and lists its kernels. Included files may lie in any folder of the
// working directory's tree, or, for a file outside of that tree, anywhere.
func check(file string, options dialect.Options) ([]dialect.Problem, []string, error) {
	root, name := ".", file
	if !filepath.IsLocal(file) {
		absolute, err := filepath.Abs(file)
		if err != nil {
			return nil, nil, err
		}
		root = filepath.VolumeName(absolute) + string(filepath.Separator)
		name = strings.TrimPrefix(absolute, root)
	}
	source, err := metal.LoadSource(os.DirFS(root), filepath.ToSlash(filepath.Clean(name)))
	if err != nil {
		return nil, nil, err
	}
	problems, kernels, err := dialect.CheckKernels(context.Background(), source, options)
	for i := range problems {
		problems[i].File = filepath.Join(root, problems[i].File)
	}
	return problems, kernels, err
}
