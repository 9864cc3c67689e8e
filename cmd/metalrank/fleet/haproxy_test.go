package fleet

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/operations/examples/*.cfg anew")

// examples is the folder with example fleets, each with its golden beside it.
const examples = "../../../docs/operations/examples"

func TestHAProxyExamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(examples, "*.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("examples %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			in, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			nodes, err := ReadNodes(in)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := nodes.WriteHAProxy(&got); err != nil {
				t.Fatal(err)
			}
			golden := file[:len(file)-len(".yaml")] + ".cfg"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("(-want +got), -update if it should be:\n%s", diff)
			}
		})
	}
}

// TestHAProxyTakesIt has HAProxy itself, where it is installed, check a configuration.
func TestHAProxyTakesIt(t *testing.T) {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("no haproxy: sudo apt-get install haproxy, brew install haproxy")
	}
	out, err := exec.CommandContext(t.Context(), program, "-c", "-f", filepath.Join(examples, "three.cfg")).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("WARNING")) {
		t.Errorf("haproxy -c: %v\n%s", err, out)
	}
}
