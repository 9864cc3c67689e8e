// Command darwincheck checks the module's code for darwin/arm64 on any system, although only a Mac can run it.
//
//	darwincheck
//	    checks the types of every Go file, cgo files included, and the Objective-C messages of every .m file against
//	    a record of Apple's (selectors.txt): about a second, no C compiler
//	darwincheck link [EXECUTABLE]
//	    compiles and links the whole of ./probe into a Mach-O executable, by zig's clang against a stub of the macOS
//	    SDK (sdk/), and the simulator's runtime into a library, and reports the problems that clang, cgo, vet and the
//	    linker find. Some minutes of two cores the first time, then seconds. EXECUTABLE, where named, is kept.
//	darwincheck env
//	    prints the variables, NAME=VALUE, by which the go command builds with that compiler and stub.
//
// Problems go to standard error as file:line:col: text. Exit status: 0 none, 1 some, 2 wrong usage.
//
// It can't show that the code does the right thing, nor that Apple's headers agree with the stub beyond the names and
// types that were compared with them once; only a Mac can.
package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/metalrank/metalrank/cmd/cli"
)

// module is the path of the module that is checked.
const module = "github.com/metalrank/metalrank"

func main() { cli.Main(run) }

// run is main without the process around it; it returns the exit status.
func run(ctx context.Context, args []string, std cli.Streams) int {
	var summary string
	var problems []string
	var err error
	switch {
	case len(args) == 0:
		summary, problems, err = checkSources(ctx)
	case len(args) <= 2 && args[0] == "link":
		executable := ""
		if len(args) == 2 {
			executable = args[1]
		}
		summary, problems, err = checkLink(ctx, executable, std.Err)
	case len(args) == 1 && args[0] == "env":
		var t *toolchain
		if t, err = newToolchain(ctx, std.Err); err == nil {
			summary = strings.Join(t.variables(), "\n")
		}
	default:
		fmt.Fprintln(std.Err, "usage: darwincheck [link [EXECUTABLE] | env]")
		return 2
	}
	if err != nil {
		fmt.Fprintln(std.Err, "darwincheck:", err)
		return 1
	}
	for _, problem := range problems {
		fmt.Fprintln(std.Err, problem)
	}
	if len(problems) > 0 {
		return 1
	}
	fmt.Fprintln(std.Out, summary)
	return 0
}

// checkSources checks types and messages, and returns a summary and the problems found.
func checkSources(ctx context.Context) (summary string, problems []string, err error) {
	packages, err := list(ctx, module+"/...")
	if err != nil {
		return "", nil, err
	}
	checker := newTypeChecker(nil)
	files := 0
	for _, p := range packages {
		problems = append(problems, checker.check(p)...)
		if p.ours() {
			files += len(p.GoFiles) + len(p.CgoFiles)
		}
	}
	sent, err := sentMessages(packages)
	if err != nil {
		return "", nil, err
	}
	recorded, err := recordedSelectors()
	if err != nil {
		return "", nil, err
	}
	problems = append(problems, compareSelectors(sent, recorded)...)
	summary = fmt.Sprintf("darwin/arm64: %d Go files, %d Objective-C messages: no problem", files, len(sent))
	return summary, unique(problems), nil
}
