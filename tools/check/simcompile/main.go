// Command simcompile tries Metal shaders on the simulator: it compiles each file, plain and checked, and prints the
// time that took, or the error. Any Metal file will do: one can try a kernel before one writes Go code to run it:
//
//	go run ./tools/check/simcompile [-root DIR] FILE.metal...
//
// Includes in quotes are relative to the file that has them, or else to -root. Exit status: 0 all compiled, 1 some did
// not, 2 wrong usage or no simulator.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("simcompile", flag.ContinueOnError)
	flags.SetOutput(errOut)
	root := flags.String("root", ".", "folder that holds the files, and that includes are relative to")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() == 0 {
		fmt.Fprintln(errOut, "simcompile: no files to compile")
		return 2
	}
	status := 0
	for _, checked := range []bool{false, true} {
		device, err := sim.Open(sim.Config{Checked: checked})
		if err != nil {
			fmt.Fprintln(errOut, "simcompile:", err)
			return 2
		}
		for _, name := range flags.Args() {
			if err := compile(device, *root, name, mode(checked), out); err != nil {
				fmt.Fprintf(out, "FAIL  %-8s %s: %v\n", mode(checked), name, err)
				status = 1
			}
		}
		if err := device.Close(); err != nil {
			fmt.Fprintln(errOut, "simcompile:", err)
			return 2
		}
	}
	return status
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
