// Command simcompile tries Metal shaders on the simulator: it compiles each file, plain and checked, and prints the
// time that took, or the error. Any Metal file will do: one can try a kernel before one writes Go code to run it:
//
//	go run ./tools/check/simcompile [--root DIR] FILE.metal...
//	go run ./tools/check/simcompile --compiler
//
// Includes in quotes are relative to the file that has them, or else to --root. Exit status: 0 all compiled, 1 some did
// not, or there is no simulator, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
)

type options struct {
	Root     string   `help:"Folder that holds the files, and that includes are relative to." default:"."`
	Compiler bool     `help:"Print the path of the compiler instead; the error where there is none says how to get one."`
	Files    []string `arg:"" optional:"" help:"Metal files."`
}

func main() { cli.Main(run) }

func run(ctx context.Context, args []string, std cli.Streams) int {
	return cli.Run(ctx, cli.Program{Name: "simcompile", Description: "Tries Metal files on the simulator.", Grammar: &options{}}, args, std)
}

// Validate is called by kong.
func (o *options) Validate() error {
	if !o.Compiler && len(o.Files) == 0 {
		return errors.New("no files to compile")
	}
	return nil
}

// Run is called by cli.Run.
func (o *options) Run(std cli.Streams) error {
	if o.Compiler {
		path, err := sim.FindCompiler("")
		fmt.Fprintln(std.Out, path)
		return err
	}
	var failed error
	for _, checked := range []bool{false, true} {
		device, err := sim.Open(sim.Config{Checked: checked})
		if err != nil {
			return err
		}
		for _, name := range o.Files {
			if err := compile(device, o.Root, name, mode(checked), std.Out); err != nil {
				fmt.Fprintf(std.Out, "FAIL  %-8s %s: %v\n", mode(checked), name, err)
				failed = cli.ErrReported
			}
		}
		if err := device.Close(); err != nil {
			return err
		}
	}
	return failed
}

func mode(checked bool) string {
	if checked {
		return "checked"
	}
	return "plain"
}

// compile compiles name and prints on out how long that took. name may be relative to the working folder or to root.
func compile(device metal.Device, root, name, mode string, out io.Writer) error {
	inRoot := name
	if absolute, err := filepath.Abs(name); err == nil {
		if base, err := filepath.Abs(root); err == nil {
			if relative, err := filepath.Rel(base, absolute); err == nil && filepath.IsLocal(relative) {
				inRoot = relative
			}
		}
	}
	source, err := metal.LoadSource(os.DirFS(root), filepath.ToSlash(inRoot))
	if err != nil {
		return err
	}
	begin := time.Now()
	library, err := device.NewLibrary(source)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "ok    %-8s %s: %s\n", mode, name, time.Since(begin).Round(time.Millisecond))
	return library.Close()
}
