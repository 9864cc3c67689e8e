// Registers checks that the kernels keep their arrays in registers, and that they need no more registers than a GPU has. An array
// that a loop indexes stays in memory unless the loop is unrolled, and a kernel with its accumulators in memory is several times
// slower on a GPU.
//
// It compiles every instantiation of every kernel with clang at -O2, for machines on which matrix products are opaque (msl.h),
// with values for the function constants. For AArch64 it counts products and arrays on the stack: the count is MF · NF · 4 for a
// tile, as the loops over the tile are unrolled and the loop over K is not. For AMDGPU it notes the 32-bit registers of a thread,
// of 128 that Apple's GPUs have, and how many were spilled to memory.
//
// It fails where products or arrays differ from budget.tsv, and where registers are more. --write makes budget.tsv anew; names of
// files, as in `registers gemm.metal`, print their kernels alone. Registers are compared by the major version of clang that wrote
// the budget, and by no clang without AMDGPU.
//
// The compilers are not Apple's. AMDGPU keeps what all threads of a SIMD-group share in registers of another kind: up to 35 in
// these kernels, some of which take registers of a thread on Apple's GPUs. Two halves share a register there and here.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/metalrank/metalrank/cmd/cli"
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
	name      string // "gemm.metal gemm<half, 8, 4>"
	products  int    // call sites of matrix products
	onStack   string // the types of arrays on the stack, joined; "-": none
	registers int    // of a thread, up to 128; 0: not known
	spilled   int    // registers that were spilled to memory
}

type options struct {
	Write bool     `help:"Write budget.tsv anew."`
	Files []string `arg:"" optional:"" help:"Print the kernels of these files alone."`
}

func main() { cli.Program{Name: "registers", Grammar: &options{}}.Main() }

// Run compares all kernels with the budget, or prints the kernels of some files.
func (o *options) Run(ctx context.Context, std cli.Streams) error {
	clang, err := findClang(ctx)
	if err != nil {
		return err
	}
	files, err := filepath.Glob("kernels/*.metal")
	if err != nil || len(files) == 0 {
		return errors.Join(err, errors.New("no kernels: run this in the root of the repository"))
	}
	var all []kernel
	for _, file := range files {
		if len(o.Files) > 0 && !slices.Contains(o.Files, path.Base(file)) {
			continue
		}
		found, err := clang.kernels(ctx, kernels.Files(), path.Base(file))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, found...)
	}
	if len(o.Files) > 0 {
		_, err := io.WriteString(std.Out, format(all, clang.major))
		return err
	}
	if o.Write {
		return os.WriteFile(budgetFile, []byte(format(all, clang.major)), 0o644)
	}
	text, err := os.ReadFile(budgetFile)
	if err != nil {
		return err
	}
	budget, major, err := parse(string(text))
	if err != nil {
		return err
	}
	withRegisters := clang.amdgpu && clang.major == major
	switch {
	case !clang.amdgpu:
		fmt.Fprintf(std.Out, "registers are not compared: %s has no target amdgcn\n", clang.path)
	case clang.major != major:
		fmt.Fprintf(std.Out, "registers are not compared: %s is clang %d, the budget is by clang %d\n", clang.path, clang.major, major)
	}
	return compare(std.Out, budget, all, withRegisters)
}

// columns are the heads of the budget's columns.
const columns = "kernel\tproducts\ton the stack\tregisters\tspilled"

func format(all []kernel, major int) string {
	var text strings.Builder
	fmt.Fprintf(&text, "# by clang %d: go run ./%s --write\n%s\n", major, folder, columns)
	for _, k := range all {
		fmt.Fprintf(&text, "%s\t%d\t%s\t%d\t%d\n", k.name, k.products, k.onStack, k.registers, k.spilled)
	}
	return text.String()
}

// parse parses the output of format.
func parse(text string) (all []kernel, major int, err error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if _, err := fmt.Sscanf(lines[0], "# by clang %d:", &major); err != nil || len(lines) < 2 || lines[1] != columns {
		return nil, 0, fmt.Errorf("%s: the heads are not those of this program", budgetFile)
	}
	for i, line := range lines[2:] {
		fields := strings.Split(line, "\t")
		if len(fields) != 5 {
			return nil, 0, fmt.Errorf("%s: line %d has %d columns, want 5", budgetFile, i+3, len(fields))
		}
		k := kernel{name: fields[0], onStack: fields[2]}
		for j, to := range map[int]*int{1: &k.products, 3: &k.registers, 4: &k.spilled} {
			if *to, err = strconv.Atoi(fields[j]); err != nil {
				return nil, 0, fmt.Errorf("%s: line %d: %w", budgetFile, i+3, err)
			}
		}
		all = append(all, k)
	}
	return all, major, nil
}

// compare prints the kernels that differ from the budget.
func compare(out io.Writer, budget, found []kernel, withRegisters bool) error {
	different := 0
	complain := func(format string, values ...any) {
		fmt.Fprintf(out, format+"\n", values...)
		different++
	}
	for _, k := range found {
		i := slices.IndexFunc(budget, func(b kernel) bool { return b.name == k.name })
		if i < 0 {
			complain("%s: has no budget", k.name)
			continue
		}
		b := budget[i]
		if k.products != b.products {
			complain("%s: %d products, want %d", k.name, k.products, b.products)
		}
		if k.onStack != b.onStack {
			complain("%s: on the stack is %s, want %s", k.name, k.onStack, b.onStack)
		}
		if withRegisters && k.registers > b.registers {
			complain("%s: %d registers, the budget is %d", k.name, k.registers, b.registers)
		}
		if withRegisters && k.spilled > b.spilled {
			complain("%s: %d registers are spilled, the budget is %d", k.name, k.spilled, b.spilled)
		}
	}
	for _, b := range budget {
		if !slices.ContainsFunc(found, func(k kernel) bool { return b.name == k.name }) {
			complain("%s: is in the budget alone", b.name)
		}
	}
	if different > 0 {
		return fmt.Errorf("not as %s has it", budgetFile)
	}
	return nil
}

// compiler is the clang that compiles.
type compiler struct {
	path   string
	major  int
	amdgpu bool
}

var clangVersion = regexp.MustCompile(`clang version (\d+)`)

// findClang returns the simulator's compiler. Apple's clang has other numbers, but no AMDGPU, either.
func findClang(ctx context.Context) (compiler, error) {
	path, err := sim.FindCompiler("")
	if err != nil {
		return compiler{}, err
	}
	c := compiler{path: path}
	version, err := c.run(ctx, "", "--version")
	if err != nil {
		return compiler{}, err
	}
	match := clangVersion.FindStringSubmatch(version)
	if match == nil {
		return compiler{}, fmt.Errorf("%s has no version: %q", path, version)
	}
	if c.major, err = strconv.Atoi(match[1]); err != nil {
		return compiler{}, err
	}
	targets, err := c.run(ctx, "", "--print-targets")
	c.amdgpu = err == nil && strings.Contains(targets, "amdgcn")
	return c, nil
}

// kernels returns the instantiations of a file's kernels, in the order of their names.
func (c compiler) kernels(ctx context.Context, files fs.FS, file string) ([]kernel, error) {
	source, err := metal.LoadSource(files, file)
	if err != nil {
		return nil, err
	}
	text, err := c.run(ctx, source.Text, "-E", "-x", "c++", "-std=c++20", "-nostdinc", "-I", "metal/sim/shim/include", "-")
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
	found, err := c.specialised(ctx, file, rewritten, nil)
	for _, values := range others {
		if err == nil && hasAll(rewritten, values) && !without(file, values) {
			var more []kernel
			more, err = c.specialised(ctx, file, rewritten, values)
			found = append(found, more...)
		}
	}
	return found, err
}

// specialised returns the kernels of rewritten text with these values instead of those in constants.
func (c compiler) specialised(ctx context.Context, file, text string, values map[string]string) ([]kernel, error) {
	text, err := specialise(text, values)
	if err != nil {
		return nil, err
	}
	text = "#include \"msl.h\"\n" + text
	code, err := c.run(ctx, text, slices.Concat(sourceFlags, optimise, []string{"--target=aarch64-linux-gnu", "-emit-llvm"})...)
	if err != nil {
		return nil, err
	}
	found := kernelsOf(file, code)
	if !c.amdgpu {
		return withSuffix(found, suffixOf(values)), nil
	}
	// The limits are attributes of functions in LLVM's text; clang has none for a static member.
	code, err = c.run(ctx, text, slices.Concat(sourceFlags, optimise, amdgpu, []string{"-Xclang", "-disable-llvm-passes", "-emit-llvm"})...)
	if err != nil {
		return nil, err
	}
	code = strings.ReplaceAll(code, `"target-cpu"=`, `"amdgpu-flat-work-group-size"="128,128" "amdgpu-num-vgpr"="128" "target-cpu"=`)
	assembly, err := c.run(ctx, code, slices.Concat([]string{"-x", "ir", "-w"}, optimise, amdgpu)...)
	if err != nil {
		return nil, err
	}
	err = addRegisters(found, file, assembly)
	return withSuffix(found, suffixOf(values)), err
}

func withSuffix(all []kernel, suffix string) []kernel {
	for i := range all {
		all[i].name += suffix
	}
	return all
}

// metadatum is a line of the metadata of AMDGPU's assembly. A kernel's name comes before its numbers.
var metadatum = regexp.MustCompile(`^ +\.(name|vgpr_count|vgpr_spill_count): +(\S+)$`)

// addRegisters adds the registers of AMDGPU's assembly to the kernels of a file.
func addRegisters(all []kernel, file, assembly string) error {
	at := -1
	for line := range strings.Lines(assembly) {
		match := metadatum.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if match == nil {
			continue
		}
		if match[1] == "name" {
			at = -1
			if name := entry.FindStringSubmatch(match[2]); name != nil {
				at = slices.IndexFunc(all, func(k kernel) bool { return k.name == file+" "+demangle(name[1], name[2]) })
			}
			continue
		}
		n, err := strconv.Atoi(match[2])
		if at < 0 || err != nil {
			return fmt.Errorf("%s: AMDGPU's metadata has %q of no known kernel", file, line)
		}
		if match[1] == "vgpr_count" {
			all[at].registers = n
		} else {
			all[at].spilled = n
		}
	}
	for _, k := range all {
		if k.registers == 0 {
			return fmt.Errorf("AMDGPU's metadata lacks %s", k.name)
		}
	}
	return nil
}

var (
	entry    = regexp.MustCompile(`_ZN3sim4shim4CallI.*E3runITnDaXadL?_?Z?\w*?(\d+)(\w+)`)
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

// run runs clang with text on its standard input, and returns its output.
func (c compiler) run(ctx context.Context, text string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, c.path, args...)
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(text), &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%w\n%.2000s", err, stderr.String())
	}
	return stdout.String(), nil
}
