// Registers checks that the kernels keep their arrays in registers. An array that a loop indexes stays in memory unless the
// loop is unrolled, and a kernel with its accumulators in memory is several times slower on a GPU.
//
// It compiles every instantiation of every kernel with clang at -O2, for a machine on which matrix products are calls (msl.h).
// It fails where the count of products or the arrays on the stack differ from budget.tsv. The count is MF · NF · 4 for a tile:
// the loops over the tile are unrolled and the loop over K is not. -write makes budget.tsv anew.
//
// The compiler is not Apple's. Rows of norm.metal and embed.metal are on the stack here because their length is a function
// constant, which Metal knows when it makes a pipeline and this check does not.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/msl"
	"github.com/metalrank/metalrank/metal/sim"
)

const (
	folder     = "tools/check/registers"
	budgetFile = folder + "/budget.tsv"
)

// kernel is one instantiation.
type kernel struct {
	name     string // "gemm.metal gemm<half, 8, 4>"
	products int    // call sites of matrix products
	onStack  string // the types of arrays on the stack, joined; "-": none
}

func main() {
	write := flag.Bool("write", false, "write "+budgetFile+" anew")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *write, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "registers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, write bool, out io.Writer) error {
	clang, err := sim.FindCompiler("")
	if err != nil {
		return err
	}
	files, err := filepath.Glob("kernels/*.metal")
	if err != nil || len(files) == 0 {
		return errors.Join(err, errors.New("no kernels: run this in the root of the repository"))
	}
	var table bytes.Buffer
	fmt.Fprintln(&table, "# Matrix products and arrays on the stack of each kernel: go run ./"+folder+" -write")
	for _, file := range files {
		found, err := compile(ctx, clang, kernels.Files(), path.Base(file))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, k := range found {
			fmt.Fprintf(&table, "%s\t%d\t%s\n", k.name, k.products, k.onStack)
		}
	}
	if write {
		return os.WriteFile(budgetFile, table.Bytes(), 0o644)
	}
	want, err := os.ReadFile(budgetFile)
	if err != nil {
		return err
	}
	return compare(out, string(want), table.String())
}

// compare prints the lines that differ.
func compare(out io.Writer, want, got string) error {
	wanted, found := strings.Split(want, "\n"), strings.Split(got, "\n")
	different := 0
	for _, line := range found {
		if !slices.Contains(wanted, line) {
			fmt.Fprintln(out, "is:  ", line)
			different++
		}
	}
	for _, line := range wanted {
		if !slices.Contains(found, line) {
			fmt.Fprintln(out, "want:", line)
			different++
		}
	}
	if different > 0 {
		return fmt.Errorf("not as %s has it", budgetFile)
	}
	return nil
}

// compile returns the instantiations of a file's kernels, in the order of their names.
func compile(ctx context.Context, clang string, files fs.FS, file string) ([]kernel, error) {
	source, err := metal.LoadSource(files, file)
	if err != nil {
		return nil, err
	}
	text, err := clangRun(ctx, clang, source.Text, "-E", "-x", "c++", "-std=c++20", "-nostdinc", "-I", "metal/sim/shim/include", "-")
	if err != nil {
		return nil, err
	}
	parsed, err := msl.Parse(text)
	if err != nil {
		return nil, err
	}
	rewritten, err := parsed.Rewrite()
	if err != nil {
		return nil, err
	}
	code, err := clangRun(ctx, clang, "#include \"msl.h\"\n"+rewritten,
		"--target=aarch64-linux-gnu", "-x", "c++", "-std=c++20", "-nostdinc", "-nostdinc++", "-I", folder, "-I", "metal/sim/shim", "-I", "metal/sim", "-w",
		"-Wno-c++11-narrowing", "-Wno-reserved-user-defined-literal", "-fno-exceptions", "-fno-rtti", "-fno-math-errno",
		"-O2", "-fno-vectorize", "-fno-slp-vectorize", "-mllvm", "-inline-threshold=1000000", "-mllvm", "-disable-vector-combine", "-fno-threadsafe-statics",
		"-S", "-emit-llvm", "-o", "-", "-")
	if err != nil {
		return nil, err
	}
	return kernelsOf(file, code), nil
}

var (
	entry    = regexp.MustCompile(`^define .*@_ZN3sim4shim4CallI.*E3runITnDaXadL?_?Z?\w*?(\d+)(\w+)`)
	argument = regexp.MustCompile(`^(?:DF16_|f|Li(\d+)E)`)
	product  = regexp.MustCompile(`call .*@multiply_accumulate_`)
	array    = regexp.MustCompile(`= alloca (.*?)(?:, align \d+)?$`)
)

// kernelsOf reads LLVM's text: the functions that the simulator would call for each kernel, into which everything was inlined.
func kernelsOf(file, code string) []kernel {
	var all []kernel
	var current *kernel
	for line := range strings.Lines(code) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "define "):
			current = nil
			if match := entry.FindStringSubmatch(line); match != nil {
				all = append(all, kernel{name: file + " " + demangle(match[1], match[2]), onStack: "-"})
				current = &all[len(all)-1]
			}
		case current == nil:
		case product.MatchString(line):
			current.products++
		default:
			if match := array.FindStringSubmatch(line); match != nil {
				current.onStack = strings.TrimPrefix(current.onStack+" "+match[1], "- ")
			}
		}
	}
	slices.SortFunc(all, func(a, b kernel) int { return strings.Compare(a.name, b.name) })
	return all
}

// demangle makes "gemm<half, 8, 4>" of a length and the text behind it, in the names of the Itanium C++ ABI.
func demangle(length, rest string) string {
	n, err := strconv.Atoi(length)
	if err != nil || n > len(rest) {
		return rest
	}
	name, rest := rest[:n], rest[n:]
	if !strings.HasPrefix(rest, "I") {
		return name
	}
	var arguments []string
	for rest = rest[1:]; ; {
		match := argument.FindStringSubmatch(rest)
		if match == nil {
			break
		}
		rest = rest[len(match[0]):]
		switch match[0] {
		case "DF16_":
			arguments = append(arguments, "half")
		case "f":
			arguments = append(arguments, "float")
		default:
			arguments = append(arguments, match[1])
		}
	}
	return name + "<" + strings.Join(arguments, ", ") + ">"
}

func clangRun(ctx context.Context, clang, text string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, clang, args...)
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(text), &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%w\n%.2000s", err, stderr.String())
	}
	return stdout.String(), nil
}
