package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/tools/fetched"
)

// A linkTest has the toolchain that links for a Mac, and the driver, which the tests seed with faults.
type linkTest struct {
	*toolchain

	driver *goPackage
}

// newLinkTest skips the test where zig is not there: tests fetch nothing. In CI it must be.
func newLinkTest(t *testing.T) *linkTest {
	t.Helper()
	if testing.Short() {
		t.Skip("links a whole program")
	}
	zig, err := fetched.ZigPath()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(zig); err != nil {
		const why = "zig is not there: `go run ./tools/check/darwincheck link` fetches it"
		if os.Getenv("CI") == "true" && runtime.GOOS == "linux" { // a Mac has the real thing
			t.Fatal(why)
		}
		t.Skip(why)
	}
	tools, err := newToolchain(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	packages, err := cgoPackages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		if p.ImportPath == driver {
			return &linkTest{tools, p}
		}
	}
	t.Fatalf("%s is not among the packages with cgo that %s needs", driver, probe)
	return nil
}

func TestLink(t *testing.T) {
	newLinkTest(t)
	executable := filepath.Join(t.TempDir(), "probe")
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"link", executable}, cli.Streams{Out: &stdout, Err: &stderr}); status != 0 {
		t.Fatalf("status %d, output %s\n%s", status, &stdout, &stderr)
	}
	if !strings.HasPrefix(stdout.String(), "darwin/arm64: linked with CoreFoundation, ") {
		t.Errorf("it says %q", &stdout)
	}
	if _, err := inspect(executable); err != nil {
		t.Error(err)
	}
}

// Faults in a copy of the shim, as the compiler sees them by itself.
func TestSeededShimDoesNotCompile(t *testing.T) {
	test := newLinkTest(t)
	_, shim := readShim(t)
	seeds := []struct{ name, from, to, want string }{
		{"a wrong selector", "waitForFence:", "waitOnFence:", "-Wobjc-method-access"},
		{"a selector of another class", "[encoder endEncoding]", "[encoder commit]", "-Wobjc-method-access"},
		{"an argument of a wrong class", "waitForFence:fence", "waitForFence:queue", "sending 'id<MTLCommandQueue>' to parameter"},
		{"a number for a pointer", "setBytes:arguments", "setBytes:1.5", "sending 'double' to parameter"},
		{"an argument too few", "setLanguageVersion:MTLLanguageVersion3_1", "setLanguageVersion", "-Wobjc-method-access"},
		{"a function that Apple lacks", "MTLCreateSystemDefaultDevice()", "MTLCreateAnyDevice()", "undeclared function"},
		{"a constant that Apple lacks", "MTLLanguageVersion3_1", "MTLLanguageVersion3_5", "undeclared identifier"},
		{"a variable that is not used", "completed(id<MTLCommandBuffer> buffer", "unused(int a) { int b; (void)a; }\nstatic void completed(id<MTLCommandBuffer> buffer", "-Wunused"},
	}
	for _, seed := range seeds {
		t.Run(seed.name, func(t *testing.T) {
			source := filepath.Join(t.TempDir(), "shim_darwin.m")
			write(t, source, change(t, shim, seed.from, seed.to))
			problems, err := test.compareMessages(t.Context(), test.driver, source, source+".o")
			_, found, err := failed(nil, err)
			if err != nil || len(problems) > 0 {
				t.Fatalf("problems %q and error %v, want the compiler to complain", problems, err)
			}
			if !strings.Contains(strings.Join(found, "\n"), seed.want) {
				t.Errorf("the compiler says\n%s\nwant %s", strings.Join(found, "\n"), seed.want)
			}
		})
	}
}

// A message outside brackets would not be compared with the record.
func TestPropertiesReadWithADotAreFound(t *testing.T) {
	test := newLinkTest(t)
	_, shim := readShim(t)
	source := filepath.Join(t.TempDir(), "shim_darwin.m")
	seeded := shim + "\nBOOL seeded(id<MTLDevice> device);\nBOOL seeded(id<MTLDevice> device) { return device.hasUnifiedMemory; }\n"
	seeded = change(t, seeded, "[device hasUnifiedMemory]", "YES")
	write(t, source, seeded)
	problems, err := test.compareMessages(t.Context(), test.driver, source, source+".o")
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0], `sends "hasUnifiedMemory", but not in brackets`) {
		t.Errorf("problems %q and error %v, want one about the message hasUnifiedMemory", problems, err)
	}
}

// Faults that only cgo and the linker see, in a copy of one of the driver's files.
func TestSeededDriverDoesNotLink(t *testing.T) {
	test := newLinkTest(t)
	path := filepath.Join(test.driver.Dir, "native_submit_darwin.go")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	source := string(text)
	seeds := []struct{ name, seeded, want string }{
		{
			"a symbol that no library has",
			change(t, source, "*/", "extern int nowhere(void);\n*/") + "\nvar _ = C.nowhere()\n",
			"undefined symbol: _nowhere",
		},
		{"a function that the shim lacks", change(t, source, "C.mr_submit(", "C.mr_submitted("), "mr_submitted"},
		{
			"a C type that is another",
			change(t, source, "C.uint64_t(len(commands))", "C.uint32_t(len(commands))"),
			"cannot use",
		},
		{
			"a size that is another",
			change(t, source, "unsafe.Sizeof(command{})", "unsafe.Sizeof([2]command{})"),
			"out of bounds",
		},
	}
	for _, seed := range seeds {
		t.Run(seed.name, func(t *testing.T) {
			folder := t.TempDir()
			copied, overlay := filepath.Join(folder, "copy.go"), filepath.Join(folder, "overlay.json")
			write(t, copied, seed.seeded)
			replaced, err := json.Marshal(map[string]map[string]string{"Replace": {path: copied}})
			if err != nil {
				t.Fatal(err)
			}
			write(t, overlay, string(replaced))
			_, found, err := failed(nil, test.build(t.Context(), probe, filepath.Join(folder, "probe"), overlay))
			if err != nil || !strings.Contains(strings.Join(found, "\n"), seed.want) {
				t.Errorf("found\n%s\nand error %v, want %q", strings.Join(found, "\n"), err, seed.want)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestInspectRefusesOthers(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if libraries, err := inspect(own); err == nil { // on a Mac too: a test does not load Metal
		t.Errorf("this test passes for the driver's executable, with %q", libraries)
	}
}

func TestRunRefusesOtherArguments(t *testing.T) {
	for _, args := range [][]string{{"lint"}, {"link", "a", "b"}} {
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), args, cli.Streams{Out: &stdout, Err: &stderr}); status != 2 || !strings.Contains(stderr.String(), "usage: darwincheck") {
			t.Errorf("%q: status %d, says %q; want 2 and the usage", args, status, &stderr)
		}
	}
}
