package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/cmd/cli"
)

func do(args ...string) (out, errOut string, status int) {
	var o, e strings.Builder
	status = run(context.Background(), args, cli.Streams{Out: &o, Err: &e})
	return o.String(), e.String(), status
}

func TestTables(t *testing.T) {
	out, errOut, status := do("--only", "flood,light", "--full", "--seed", "3")
	if status != 0 {
		t.Fatal(errOut)
	}
	for _, want := range []string{
		"| scenario | policy | busy |", "| light | ours | 9", "| light | window of 50ms | 2", "| flood | FIFO | 100.0 % |",
		"## light\n\n20 % load, up to 8 documents. ", "| modest3 | ours |", "| ≤ 8 | FIFO |",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if again, _, _ := do("--only", "flood,light", "--full", "--seed", "3"); again != out {
		t.Error("the same run prints another table")
	}
	checkTables(t, out)
}

// checkTables checks that every row of a table has as many cells as the one above it.
func checkTables(t *testing.T, text string) {
	t.Helper()
	cells := 0
	for line := range strings.Lines(text) {
		n := strings.Count(line, "|")
		if n > 0 && cells > 0 && n != cells {
			t.Errorf("%d cells after %d in %q", n, cells, line)
		}
		cells = n
	}
}

func TestSweep(t *testing.T) {
	out, errOut, status := do("--only", "light", "--sweep", "lead=0.1,1")
	if status != 0 || !strings.Contains(out, "| light | lead 0.1 | 9") || !strings.Contains(out, "| light | lead 1 | 9") {
		t.Errorf("status %d, %s%s", status, errOut, out)
	}
	checkTables(t, out)
}

func TestRecorded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace")
	text := `{"at_ms": 1, "client": "a", "documents": 2000, "length": 100}` + "\n" + `{"at_ms": 2, "client": "b", "lengths": [80, 90]}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errOut, status := do("--trace", path)
	if status != 0 || !strings.Contains(out, "| recorded | ours |") || !strings.Contains(out, "in 2 requests") {
		t.Errorf("status %d, %s%s", status, errOut, out)
	}
	if err := os.WriteFile(path, []byte(`{"at_ms": -1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errOut, status := do("--trace", path); status != 1 || !strings.Contains(errOut, "line 1: at_ms is -1") {
		t.Errorf("status %d, %s", status, errOut)
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"more"}, "unexpected argument more"},
		{[]string{"--only", "none"}, `no scenario "none"`},
		{[]string{"--window", "0s"}, "--window is 0s"},
		{[]string{"--trace", "x", "--only", "light"}, "--trace goes with neither"},
		{[]string{"--sweep", "none=1"}, `no parameter "none"`},
		{[]string{"--sweep", "lead"}, `a value of lead is ""`},
		{[]string{"--sweep", "lead=1,-1"}, `a value of lead is "-1"`},
		{[]string{"--grid", "--full"}, "--grid goes with no other table"},
		{[]string{"--unknown"}, "unknown flag --unknown"},
	} {
		if out, errOut, status := do(test.args...); status != 2 || !strings.Contains(errOut, test.want) || out != "" {
			t.Errorf("%q: status %d, %q, want 2 with %q", test.args, status, errOut, test.want)
		}
	}
	if _, _, status := do("--help"); status != 0 {
		t.Errorf("--help ends with %d", status)
	}
}
