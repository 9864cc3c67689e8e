package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/tools/sweep/table"
)

// asCommand is the environment variable that makes the test's binary run the command, for a test that kills it.
const asCommand = "SWEEP_TEST_IS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		os.Exit(run(context.Background(), os.Args[1:], cli.Streams{Out: os.Stdout, Err: os.Stderr}))
	}
	os.Exit(m.Run())
}

// call runs the command, and wants it to end with status.
func call(t *testing.T, status int, args ...string) (out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	if got := run(t.Context(), args, cli.Streams{Out: &o, Err: &e}); got != status {
		t.Fatalf("%q: status %d, want %d; it said\n%s", args, got, status, &e)
	}
	return o.String(), e.String()
}

// fake is a server in the dialect of text-embeddings-inference, or of Jina. It scores by the documents' lengths, and
// calls before ahead of each answer, one request at a time.
type fake struct {
	mu     sync.Mutex
	before func(call int)
	calls  int // guarded by mu
	sign   float64
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Texts, Documents []string
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &q) != nil {
		http.Error(w, "no", http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	f.calls++
	f.before(f.calls)
	f.mu.Unlock()
	type result struct {
		Index int     `json:"index"`
		Score float64 `json:"score,omitempty"`
		Other float64 `json:"relevance_score,omitempty"`
	}
	var results []result
	for i, d := range q.Texts {
		results = append([]result{{Index: i, Score: f.sign * float64(1+len(d))}}, results...)
	}
	for i, d := range q.Documents {
		results = append(results, result{Index: i, Other: f.sign * float64(1+len(d))})
	}
	var answer any = results
	if q.Documents != nil {
		answer = map[string]any{"results": results}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func serve(t *testing.T, before func(call int)) string {
	t.Helper()
	server := httptest.NewServer(&fake{before: before, sign: 1})
	t.Cleanup(server.Close)
	return server.URL
}

// experiment writes the YAML file of an experiment called own.
func experiment(t *testing.T, yaml string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "own.yaml")
	if err := os.WriteFile(path, []byte("name: own\ntarget: http\ndata: short\n"+yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFolder(t *testing.T, folder string) *record.Run {
	t.Helper()
	r, err := readRun(folder)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRunOverHTTP(t *testing.T) {
	t.Parallel()
	url := serve(t, func(int) {})
	for _, path := range []string{"", "/v1/rerank", "/v2/rerank"} {
		folder := filepath.Join(t.TempDir(), "run")
		file := experiment(t, "batch_sizes: [1, 3]\nconcurrency: [2]\nrequests: 10\ndynamic_batching: {modes: [off, on]}\n")
		out, _ := call(t, 0, "run", file, "--url", url+path, "--out", folder)
		run := readFolder(t, folder)
		if !run.Complete || len(run.Tables) != 2 || run.Tables[0].Batching.On || !run.Tables[1].Batching.On {
			t.Fatalf("%+v", run)
		}
		for _, table := range run.Tables {
			for i, c := range table.Cells {
				if c.Error != "" || c.Requests != 10 || c.Pairs != 10*[]int{1, 3}[i] || len(c.Latencies) != 10 {
					t.Errorf("%s: cell %+v", path, c)
				}
			}
		}
		data, err := os.ReadFile(filepath.Join(folder, resultsFile))
		if err != nil {
			t.Fatal(err)
		}
		d, err := table.Parse(string(data))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range d.Sections {
			if !strings.Contains(out, s.String()) {
				t.Errorf("not printed:\n%s", s.String())
			}
		}
		call(t, 1, "run", file, "--url", url, "--out", folder) // the folder has a run already
	}
}

// A server stalls once, for a second: an open loop's P99 has that second. Package load tests that a closed loop's has
// not, with a fake clock that no other process can stop.
func TestOpenLoopShowsTheStallOfAServer(t *testing.T) {
	t.Parallel()
	url := serve(t, func(call int) {
		if call == 60 {
			time.Sleep(time.Second)
		}
	})
	folder := filepath.Join(t.TempDir(), "run")
	file := experiment(t, "batch_sizes: [1]\nconcurrency: [1]\nrequests: 200\nwarmup: 0\n")
	call(t, 0, "run", file, "--url", url, "--out", folder, "--rate", "150")
	if p99 := readFolder(t, folder).Tables[0].Cells[0].Latency.P99; p99 < 900 {
		t.Errorf("P99 is %.1f ms, want the second", p99)
	}
}

// A sweep is killed and resumed: finished cells are kept as they were, and every cell is there once.
func TestResumeAfterKill(t *testing.T) {
	t.Parallel()
	// Half of the requests are answered, the rest only after the command is killed, so that it can't finish before.
	killed := make(chan struct{})
	url := serve(t, func(call int) {
		if call > 12*30/2 {
			<-killed
		}
	})
	release := sync.OnceFunc(func() { close(killed) })
	t.Cleanup(release) // before the server is closed
	file := experiment(t, "batch_sizes: [1, 2, 4]\nconcurrency: [1, 2]\nrequests: 30\ndynamic_batching: {modes: [off, on]}\n")
	folder := filepath.Join(t.TempDir(), "run")
	args := []string{"run", file, "--url", url, "--out", folder}
	child := exec.CommandContext(t.Context(), os.Args[0], args...)
	child.Env = append(os.Environ(), asCommand+"=1")
	var said bytes.Buffer
	child.Stdout, child.Stderr = &said, &said
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	cells := func(r *record.Run) (all []*record.Cell) {
		for _, table := range r.Tables {
			all = append(all, table.Cells...)
		}
		return all
	}
	var before *record.Run
	const patience = 2 * time.Minute
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			_ = child.Process.Kill() // so that its output is complete
			_ = child.Wait()
			t.Fatalf("three cells take more than %v: %s", patience, &said)
		}
		r, err := record.ReadFile(filepath.Join(folder, recordFile))
		if err == nil && len(cells(r)) >= 3 {
			break
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Fatal("it was done before it was killed")
	}
	release()
	before = readFolder(t, folder)
	if before.Complete || len(cells(before)) >= 12 {
		t.Fatalf("%d cells before the kill", len(cells(before)))
	}

	call(t, 1, append(args, "--resume", "--requests", "31")...) // other arguments
	_, resumed := call(t, 0, append(args, "--resume")...)
	after := readFolder(t, folder)
	if !after.Complete || len(cells(after)) != 12 {
		t.Errorf("%d cells, complete %v", len(cells(after)), after.Complete)
	}
	if diff := cmp.Diff(cells(before), cells(after)[:len(cells(before))]); diff != "" {
		t.Error("what was finished has changed:", diff)
	}
	seen := map[key]bool{}
	for _, k := range keysOf(after) {
		if seen[k] {
			t.Errorf("%v is there twice", k)
		}
		seen[k] = true
	}
	if !strings.Contains(resumed, "measured already") {
		t.Error(resumed)
	}
}

// While a sweep writes to a folder, a second one to it is refused, begun anew or resumed.
func TestFolderIsOnesOwn(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "run")
	var args []string
	tried := false
	url := serve(t, func(number int) {
		if number != 5 {
			return
		}
		tried = true
		for _, more := range [][]string{nil, {"--resume"}} {
			if _, said := call(t, exitFailed, append(args, more...)...); !strings.Contains(said, "another sweep is writing to "+folder) {
				t.Errorf("%q: %s", more, said)
			}
		}
	})
	args = []string{"run", experiment(t, "batch_sizes: [1]\nconcurrency: [1]\nrequests: 10\n"), "--url", url, "--out", folder}
	call(t, 0, args...)
	if left, err := filepath.Glob(filepath.Join(folder, ".*")); !tried || err != nil || len(left) > 0 {
		t.Errorf("tried: %t; left: %v, %v", tried, left, err)
	}
}

func TestInterruptKeepsWhatWasMeasured(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	url := serve(t, func(call int) {
		if call == 25 {
			cancel()
		}
	})
	folder := filepath.Join(t.TempDir(), "run")
	file := experiment(t, "batch_sizes: [1]\nconcurrency: [1, 2]\nrequests: 15\nwarmup: 1\n")
	args := []string{"run", file, "--url", url, "--out", folder}
	var out, errOut bytes.Buffer
	if status := run(ctx, args, cli.Streams{Out: &out, Err: &errOut}); status != exitFailed || !strings.Contains(errOut.String(), "--resume") {
		t.Fatalf("status %d, said %s", status, &errOut)
	}
	cells := readFolder(t, folder).Tables[0].Cells
	if len(cells) != 2 || cells[0].Partial || !cells[1].Partial || cells[1].Requests == 0 || cells[1].Requests >= 15 {
		t.Fatalf("%d cells, the last %+v", len(cells), cells[len(cells)-1])
	}
	call(t, 0, append(args, "--resume")...)
	cells = readFolder(t, folder).Tables[0].Cells
	if len(cells) != 2 || cells[1].Partial || cells[1].Requests != 15 {
		t.Errorf("after resuming: %d cells, the last %+v", len(cells), cells[len(cells)-1])
	}
}

func TestErrorRows(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":"out of memory"}`, http.StatusInternalServerError)
	}))
	defer server.Close()
	folder := filepath.Join(t.TempDir(), "run")
	file := experiment(t, "batch_sizes: [7]\nconcurrency: [2]\n")
	out, said := call(t, 0, "run", file, "--url", server.URL, "--out", folder)
	if !strings.Contains(out, "| 7 | 2 | ERROR | - | - | - | - | - | - | - | - | - |") || strings.Contains(out, "Summary") {
		t.Error(out)
	}
	if !strings.Contains(said, "out of memory") || !strings.Contains(readFolder(t, folder).Tables[0].Cells[0].Error, "500") {
		t.Error(said)
	}
}

// A system that isn't there gives ERROR rows, with the reason in the record.
func TestEmbeddedWithoutMetal(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "darwin" {
		t.Skip("there may be Metal")
	}
	folder := filepath.Join(t.TempDir(), "run")
	file := experiment(t, "batch_sizes: [2]\nconcurrency: [2]\n")
	out, _ := call(t, 0, "run", file, "--target", "embedded", "--backend", "metal", "--out", folder)
	first := readFolder(t, folder).Tables[0]
	if !strings.Contains(out, "**Backend:** `metalrank` | **Device:** `metal`") || !strings.Contains(out, "| ERROR |") ||
		first.Error == "" || first.Cells[0].Error != first.Error {
		t.Errorf("%s\n%+v", out, first)
	}
}

func TestEmbedded(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "run")
	file := experiment(t, "batch_sizes: [2]\nconcurrency: [2]\nrequests: 4\ninstances: 2\ndtype: int4\n")
	call(t, 0, "run", file, "--target", "embedded", "--backend", "cpu", "--out", folder)
	first := readFolder(t, folder).Tables[0]
	if s := first.System; s.Backend != "metalrank" || s.Device != "cpu" || s.Instances != 2 || len(s.Hash) != 64 ||
		!strings.Contains(s.Detail, "int4") || first.Cells[0].Pairs != 8 {
		t.Errorf("%+v, %+v", s, first.Cells[0])
	}
}

func TestCompare(t *testing.T) {
	file := experiment(t, "batch_sizes: [2]\nconcurrency: [1]\nrequests: 12\n")
	url := serve(t, func(int) { time.Sleep(3 * time.Millisecond) })
	folder := filepath.Join(t.TempDir(), "run")
	out, _ := call(t, 0, "run", file, "--url", url, "--vs", "http", "--out", folder)
	run := readFolder(t, folder)
	if len(run.Tables) != 2 || len(run.Comparisons) != 1 {
		t.Fatalf("%d tables, %d comparisons", len(run.Tables), len(run.Comparisons))
	}
	c := run.Comparisons[0]
	if len(c.ThroughputA) != 5 || c.Low > c.Ratio || c.High < c.Ratio || c.Agreement.Difference != 0 {
		t.Errorf("%+v", c)
	}
	if !strings.Contains(out, "times the pairs/s of") {
		t.Error(out)
	}
	// The embedded model does not score by length: an order that differs is fatal, before anything is timed.
	folder = filepath.Join(t.TempDir(), "mismatch")
	_, said := call(t, 1, "run", file, "--url", url, "--vs", "embedded", "--backend", "cpu", "--out", folder)
	if !strings.Contains(said, "don't compute the same") {
		t.Error(said)
	}
	if cells := readFolder(t, folder).Tables[0].Cells; len(cells) != 0 {
		t.Errorf("%d cells were measured all the same", len(cells))
	}
}

// The values are from scipy.stats.t.interval(0.95, 4, …) on the logarithms.
func TestRatio(t *testing.T) {
	a, b := []float64{100, 100, 100, 100, 100}, []float64{200, 210, 190, 205, 195}
	mean, low, high := ratio(a, b)
	for i, pair := range [][2]float64{{mean, 1.998749}, {low, 1.902940}, {high, 2.099382}} {
		if d := pair[0] - pair[1]; d > 1e-5 || d < -1e-5 {
			t.Errorf("figure %d is %.6f, want %.6f", i, pair[0], pair[1])
		}
	}
	if mean, low, high := ratio([]float64{1}, []float64{0}); mean != 0 || low != 0 || high != 0 {
		t.Error("a ratio of nothing")
	}
}

func TestDiff(t *testing.T) {
	runOf := func(factor float64) string {
		c := &record.Cell{Batch: 8, Concurrency: 1, Loop: record.Closed, Seconds: 1}
		for i := range 50 {
			c.Latencies = append(c.Latencies, factor*(20+float64(i%5)))
		}
		c.Summarize()
		r := record.Run{Format: record.Format, Tables: []*record.Table{{Experiment: "own", Cells: []*record.Cell{c}}}}
		folder := t.TempDir()
		if err := r.WriteFile(filepath.Join(folder, recordFile)); err != nil {
			t.Fatal(err)
		}
		return folder
	}
	before := runOf(1)
	if out, said := call(t, 1, "diff", before, runOf(1.2)); !strings.Contains(out, "SLOWER") || !strings.Contains(said, "1 of 1 cells") {
		t.Error(out, said)
	}
	if out, _ := call(t, 0, "diff", before, runOf(0.8)); !strings.Contains(out, "faster") {
		t.Error(out)
	}
	if out, _ := call(t, 0, "diff", before, runOf(1.02)); strings.Contains(out, "SLOWER") || strings.Contains(out, "faster") {
		t.Error("2 % are more than 5:", out)
	}
	call(t, 0, "diff", before, runOf(1.2), "--threshold", "30")
}

func TestStudyThroughTheCommand(t *testing.T) {
	want, err := os.ReadFile("table/study.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"table/study.md", "study"} {
		if out, _ := call(t, 0, "table", name); out != string(want) {
			t.Errorf("%s is not printed back", name)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"no experiment":        {"run", "nothing"},
		"no target":            {"run", "all", "--target", "vllm"},
		"no dtype":             {"run", "all", "--target", "embedded:fp8"},
		"wants --url":          {"run", "all", "--target", "http"},
		"want one like http":   {"run", "all", "--target", "http", "--url", "localhost"},
		"an interval needs":    {"run", "all", "--target", "embedded", "--repeats", "1"},
		"can't be negative":    {"run", "all", "--target", "embedded", "--rate=-1"},
		"no data set":          {"run", "01_backend_pytorch", "--target", "embedded", "--data", "nothing", "--out", t.TempDir() + "/y"},
		"nothing to resume":    {"run", "all", "--target", "embedded", "--resume", "--out", t.TempDir()},
		"no peer":              {"peers", "install", "vllm"},
		"no such file":         {"report", t.TempDir()},
		"table: line 1":        {"table", "/dev/null"},
		`no experiment "x": "`: {"show", "x"},
	} {
		if _, said := call(t, exitFailed, args...); !strings.Contains(said, want) {
			t.Errorf("%q: said %s, want %q", args, said, want)
		}
	}
	call(t, exitUsage, "run")
	call(t, exitUsage, "measure")
}

// The help of an optional flag doesn't list the empty string as a choice.
func TestHelp(t *testing.T) {
	t.Parallel()
	out, _ := call(t, 0, "run", "--help")
	if text := strings.Join(strings.Fields(out), " "); strings.Contains(text, ",.") || !strings.Contains(text, "fp32,fp16") {
		t.Errorf("an empty choice, or none, in\n%s", out)
	}
}
