//go:build linux

package darwin

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the shim does now to its transcripts, to be read before they are committed")

// TestShimSendsTheseMessages runs the shim itself, compiled against GNU's Objective-C runtime, over a Metal that writes
// down every message.
func TestShimSendsTheseMessages(t *testing.T) {
	w := newWorld(t)
	program := w.link(t, "shim_darwin.m")
	for _, scenario := range scenarios {
		t.Run(scenario, func(t *testing.T) {
			got := w.run(t, program, scenario)
			if *update {
				if err := os.WriteFile(transcriptOf(scenario), []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(transcript(t, scenario), got); diff != "" {
				t.Errorf("transcript (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTranscriptsShowMistakes: each of these mistakes in the shim changes a transcript.
func TestTranscriptsShowMistakes(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the shim two dozen times")
	}
	w := newWorld(t)
	shim := string(must[[]byte](t)(os.ReadFile("shim_darwin.m")))
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			if n := strings.Count(shim, m.old); n != 1 {
				t.Fatalf("the shim has %q %d times, want once", m.old, n)
			}
			path := filepath.Join(t.TempDir(), "shim.m")
			if err := os.WriteFile(path, []byte(strings.Replace(shim, m.old, m.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			program := w.link(t, path)
			for _, scenario := range scenarios {
				if got := w.run(t, program, scenario); got != transcript(t, scenario) {
					return
				}
			}
			t.Error("every transcript is the same as without the mistake")
		})
	}
}

// scenarios are those of testdata/objc/main.m; each has its transcript in testdata/transcripts.
var scenarios = []string{
	"open", "open failures", "buffers", "libraries", "pipelines", "submit", "submit failures",
	"capture", "residency", "exceptions",
}

var mistakes = []struct{ name, old, new string }{
	// lifetimes
	{"function leaks", "[function release];", ""},
	{"function released twice", "[function release];", "[function release]; [function release];"},
	{"options leak", "[options release];", ""},
	{"constants leak", "[values release];", ""},
	{"list of devices leaks", "[all release];", ""},
	{"device not retained", "[[all objectAtIndex:0] retain]", "[all objectAtIndex:0]"},
	{"metallib leaks", "dispatch_release(data);", ""},
	{"half-opened device leaks", "[device release];", ""},
	{"device's name borrowed", "copy_text(name, \"unnamed\")", "(char*)[name UTF8String]"},
	// requests to a device
	{"tracked buffers", " | MTLResourceHazardTrackingModeUntracked", ""},
	{"no contents", "*contents = [buffer contents];", ""},
	{"fast math", "setFastMathEnabled:NO", "setFastMathEnabled:YES"},
	{"system not asked", "[[NSProcessInfo processInfo] isOperatingSystemAtLeastVersion:version]", "version.majorVersion > 0"},
	{"architecture's name borrowed", "copy_text(architecture, \"\")", "(char*)[architecture UTF8String]"},
	{"constants in one place", "atIndex:constants[i].index", "atIndex:0"},
	{"family misread", "(MTLGPUFamily)family", "(MTLGPUFamily)(family + 1)"},
	{"entry of the registry leaks", "IOObjectRelease(gpu);", ""},
	{"number of cores leaks", "CFRelease(cores);", ""},
	{"cores of no number", "CFGetTypeID(cores) == CFNumberGetTypeID()", "CFGetTypeID(cores)"},
	{"error kept back", "*error = failure(why, \"the library has no such kernel\");", ""},
	{"set for an old system", "if (!system_at_least(15)) return nil;", ""},
	{"set of no queue", "if (set) [queue addResidencySet:set];", ""},
	{"descriptor of a set leaks", "[descriptor release];\n        if (set)", "if (set)"},
	{"added twice", "[(id<MTLResidencySet>)set removeAllocation:", "[(id<MTLResidencySet>)set addAllocation:"},
	{"kept for ever", "[(id<MTLResidencySet>)set endResidency];", "[(id<MTLResidencySet>)set requestResidency];"},
	{"exception's reason kept back", "name, reason);", "name, name);"},
	{"encoder left open", "    [encoder endEncoding];\n    } @catch", "} @catch"},
	{"ended encoder ended again", "            encoder = nil;\n", ""},
	// a list
	{"serial", "MTLDispatchTypeConcurrent", "0"},
	{"no wait for the list before", "[encoder waitForFence:fence];", ""},
	{"nothing for the list after", "[encoder updateFence:fence];", ""},
	{"wait and update swapped", "[encoder waitForFence:fence];", "[encoder updateFence:fence];"},
	{"no barrier", "if (command->barrier)", "if (!command->groups[0])"},
	{"pipeline set once", "pipeline = command->pipeline;", "pipeline = pipeline ? pipeline : command->pipeline;"},
	{"offset left out", "offset:binding->offset", "offset:0"},
	{"arguments of the first", "arguments + command->arguments_offset", "arguments"},
	{"grid and group swapped", "*groups = command->groups, *threads = command->threads", "*groups = command->threads, *threads = command->groups"},
	{"one dispatch short", "command < commands + count", "command + 1 < commands + count"},
	{"never committed", "[buffer commit];", ""},
	{"failure taken for success", "!= MTLCommandBufferStatusCompleted", "== 0"},
	{"wrong list completed", "completed(done, tag)", "completed(done, 0)"},
	{"nil encoder used", "if (!encoder)", "if (!queue)"},
	// a capture
	{"descriptor leaks", "[descriptor release];\n            return", "return"},
	{"of nothing", "[descriptor setCaptureObject:(id<MTLDevice>)device];", ""},
	{"never stopped", "[[MTLCaptureManager sharedCaptureManager] stopCapture];", ""},
}

func transcriptOf(scenario string) string {
	return filepath.Join("testdata", "transcripts", strings.ReplaceAll(scenario, " ", "_")+".txt")
}

func transcript(t *testing.T, scenario string) string {
	t.Helper()
	return string(must[[]byte](t)(os.ReadFile(transcriptOf(scenario))))
}

// world compiles and links testdata/objc with the shim, or a copy of it.
type world struct {
	clang   string
	flags   []string
	objects []string // compiled from testdata/objc
	folder  string
}

// sdk has the headers that tools/check/darwincheck compares with Apple's.
const sdk = "../../tools/check/darwincheck/sdk/System/Library/Frameworks"

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{folder: t.TempDir(), flags: []string{
		"-fobjc-runtime=gcc", "-fobjc-exceptions", "-fexceptions", "-fblocks", "-fno-objc-arc", "-Wall", "-Werror", "-I", "testdata/objc/include", "-I", ".",
	}}
	for _, name := range []string{"clang-19", "clang"} {
		if path, err := exec.LookPath(name); err == nil {
			w.clang = path
			break
		}
	}
	if w.clang == "" {
		skip(t, "no clang")
	}
	w.headers(t)
	for _, name := range []string{"foundation", "metal", "main"} {
		object := filepath.Join(w.folder, name+".o")
		w.compile(t, "-c", filepath.Join("testdata", "objc", name+".m"), "-o", object)
		w.objects = append(w.objects, object)
	}
	probe := filepath.Join(w.folder, "probe.m")
	if err := os.WriteFile(probe, []byte("int main(void) { return 0; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.tryCompile(t, probe, "-lobjc", "-o", filepath.Join(w.folder, "probe")); err != nil {
		skip(t, "no libobjc to link with (Debian: libobjc-12-dev)")
	}
	return w
}

// headers lays out the stub SDK's headers as #include names them, and empty ones that only darwinkit needs.
func (w *world) headers(t *testing.T) {
	t.Helper()
	for _, framework := range []string{"Metal", "Foundation", "CoreFoundation", "IOKit"} {
		from := filepath.Join(sdk, framework+".framework", "Headers")
		if err := os.CopyFS(filepath.Join(w.folder, framework), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	for _, empty := range []string{"MacTypes.h", "Metal/protocols.h", "Foundation/protocols.h", "Foundation/darwinkit.h"} {
		if err := os.WriteFile(filepath.Join(w.folder, empty), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.flags = append(w.flags, "-I", w.folder)
}

// link returns a program of the world with a shim.
func (w *world) link(t *testing.T, shim string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	w.compile(t, append([]string{shim, "-lobjc", "-o", program}, w.objects...)...)
	return program
}

func (w *world) compile(t *testing.T, arguments ...string) {
	t.Helper()
	if output, err := w.tryCompile(t, arguments...); err != nil {
		t.Fatalf("%s: %v\n%s", w.clang, err, output)
	}
}

func (w *world) tryCompile(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), w.clang, append(arguments, w.flags...)...).CombinedOutput()
	return string(output), err
}

// run returns a program's output in a scenario, followed by its error if it failed.
func (w *world) run(t *testing.T, program, scenario string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), program, scenario).CombinedOutput()
	if err != nil {
		return string(output) + err.Error() + "\n"
	}
	return string(output)
}
