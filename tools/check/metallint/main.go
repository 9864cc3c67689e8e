package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/tools/check/metallint/dialect"
)

type options struct {
	House   bool     `help:"Hold the files to our house rules too."`
	Kernels string   `help:"File with the names of all kernels that are launched, one a line." placeholder:"FILE"`
	Paths   []string `arg:"" optional:"" help:"Files, and folders whose .metal files are checked."`

	dialect dialect.Options
	files   []string
}

func main() { cli.Main(run) }

func run(ctx context.Context, args []string, std cli.Streams) int {
	return cli.Run(ctx, cli.Program{Name: "metallint", Description: "Checks the dialect of Metal shaders.", Grammar: &options{}}, args, std)
}

// Validate is called by kong. It reads the names of kernels, and finds the files.
func (o *options) Validate() (err error) {
	o.dialect.House = o.House
	if o.Kernels != "" {
		text, err := os.ReadFile(o.Kernels)
		if err != nil {
			return err
		}
		o.dialect.Kernels = strings.Fields(string(text))
	}
	if o.files, err = shaders(o.Paths); err == nil && len(o.files) == 0 {
		err = errors.New("no .metal file")
	}
	return err
}

// Run is called by cli.Run.
func (o *options) Run(std cli.Streams) error {
	problems, err := checkAll(o.files, o.dialect)
	for _, p := range problems {
		fmt.Fprintln(std.Out, p)
	}
	if err == nil && len(problems) > 0 {
		err = cli.ErrReported
	}
	return err
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
