package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/internal/outfile"
	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// execute runs the command line as main does.
func execute(t *testing.T, ctx context.Context, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = run(ctx, args, streams{in: strings.NewReader(stdin), out: &out, err: &errOut})
	return status, out.String(), errOut.String()
}

// checkpoint writes one of weightstest's random checkpoints: quick to load and to score.
func checkpoint(t *testing.T, spec weightstest.Spec) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), spec.Name)
	if err := weightstest.Write(dir, spec); err != nil {
		t.Fatal(err)
	}
	return dir
}

func threeLabels() weightstest.Spec {
	specs := weightstest.Specs()
	return specs[slices.IndexFunc(specs, func(s weightstest.Spec) bool { return s.Labels == 3 })]
}

func TestExitStatus(t *testing.T) {
	model := checkpoint(t, weightstest.Tiny())
	for _, c := range []struct {
		name   string
		stdin  string
		args   []string
		status int
		stderr string // a part of it
	}{
		{"no command", "", nil, exitUsage, "expected one of"},
		{"unknown command", "", []string{"sort"}, exitUsage, "sort"},
		{"unknown flag", "", []string{"info", "--colour"}, exitUsage, "unknown flag --colour"},
		{"no query", "", []string{"rerank"}, exitUsage, "--query"},
		{"unknown format", "", []string{"rerank", "-q", "x", "--format", "xml"}, exitUsage, "table"},
		{"negative top-n", "", []string{"rerank", "-q", "x", "--top-n=-1"}, exitUsage, "--top-n is -1, want at least 1"},
		{"short max-length", "", []string{"info", "--max-length=3"}, exitUsage, "--max-length is 3"},
		{"unknown backend", "", []string{"info", "--backend=cuda"}, exitUsage, "--backend"},
		{"help", "", []string{"--help"}, 0, ""},
		{"version", "", []string{"--version"}, 0, ""},
		{"no such model", "", []string{"info", "--model", "no/such/folder"}, exitFailed, "no/such/folder"},
		{"no such model, no documents", "", []string{"rerank", "-q", "x", "--model", "/no/such"}, exitFailed, "/no/such: no such file"},
		{"no such file", "", []string{"rerank", "-q", "x", "no-such-file"}, exitFailed, "no-such-file"},
		{"no documents", " \n\n", []string{"rerank", "-q", "x"}, exitFailed, "standard input: no documents"},
		{"empty model", "", []string{"info", "--model", ""}, exitUsage, "--model is empty"},
		{"empty file name", "", []string{"rerank", "-q", "x", ""}, exitUsage, "<file> is empty"},
		{"UTF-16", "\xff\xfea\x00\n\x00", []string{"rerank", "-q", "x"}, exitFailed, "standard input: line 1: want UTF-8"},
		{"Latin-1", "a\ncaf\xe9\n", []string{"rerank", "-q", "x"}, exitFailed, "standard input: line 2: want UTF-8"},
		{"long max-length", "", []string{"info", "--model", model, "--max-length=999"}, exitFailed, "--max-length is 999"},
		{"bad JSON line", "{\"text\": \"a\"}\n{\"text\": 7}\n", []string{"rerank", "-q", "x"}, exitFailed, "line 2"},
		{"no text", "{\"text\": \"a\"}\n\n{\"body\": \"b\"}\n", []string{"rerank", "-q", "x"}, exitFailed, `line 3: no "text"`},
		{"bad pair", "{\"query\": \"a\"}\n", []string{"score", "--model", model, "--pairs", "-"}, exitFailed, `line 1: no "text"`},
		{"text is a number", "{\"query\": \"a\", \"text\": 3}\n", []string{"score", "--model", model, "--pairs", "-"}, exitFailed, `line 1: "text" is of type number, want string`},
		{"an array", "[1]\n", []string{"score", "--model", model, "--pairs", "-"}, exitFailed, "line 1 is of type array, want object"},
		{"not JSON", "hello\n", []string{"score", "--model", model, "--pairs", "-"}, exitFailed, "line 1"},
		{"no output folder", "", []string{"score", "--model", model, "--pairs", "-", "-o", "no/such/out"}, exitFailed, "no/such/out"},
		{"bad address", "", []string{"serve", "--model", model, "--listen", "nowhere"}, exitUsage, `--listen is "nowhere"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, stdout, stderr := execute(t, t.Context(), c.stdin, c.args...)
			if status != c.status || !strings.Contains(stderr, c.stderr) {
				t.Errorf("status %d, want %d; stderr %q, want a part %q", status, c.status, stderr, c.stderr)
			}
			if status != 0 && stdout != "" {
				t.Errorf("a failure wrote to stdout: %q", stdout)
			}
		})
	}
}

func TestRerankExample(t *testing.T) {
	status, stdout, stderr := execute(t, t.Context(), "", "rerank", "--query", "how do I remove limescale from a kettle?",
		"--format", "tsv", "example/documents.txt")
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	rows := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(rows) != 13 || !strings.HasPrefix(rows[1], "1\t") || !strings.Contains(rows[1], "\t1\tLimescale dissolves") {
		t.Errorf("stdout:\n%s", stdout)
	}
	if !strings.Contains(stderr, "12 documents, ") || !strings.Contains(stderr, "backend cpu") {
		t.Errorf("stderr: %s", stderr)
	}
}

func TestRerankInputsAndFormats(t *testing.T) {
	model := checkpoint(t, weightstest.Tiny())
	rank := func(stdin string, args ...string) string {
		t.Helper()
		args = append([]string{"rerank", "--model", model, "-q", "a b"}, args...)
		status, stdout, stderr := execute(t, t.Context(), stdin, args...)
		if status != 0 {
			t.Fatalf("%v: status %d: %s", args, status, stderr)
		}
		return stdout
	}
	plain := rank("\uFEFFone a\r\n\ntwo b\nthree c\n", "--format=json")
	lines := rank("{\"text\": \"one a\", \"id\": 9}\n{\"text\": \"two b\"}\n\n{\"text\": \"three c\"}\n", "--format=json", "-")
	if diff := cmp.Diff(plain, lines); diff != "" {
		t.Errorf("JSON lines rank otherwise than plain lines (-plain +JSON):\n%s", diff)
	}
	var results []struct {
		Index int     `json:"index"`
		Score float64 `json:"score"`
		Text  string  `json:"text"`
	}
	if err := json.Unmarshal([]byte(plain), &results); err != nil {
		t.Fatal(err)
	}
	texts := []string{"one a", "two b", "three c"}
	if len(results) != len(texts) {
		t.Fatalf("%d results, want %d", len(results), len(texts))
	}
	for i, r := range results {
		if r.Text != texts[r.Index] || i > 0 && r.Score > results[i-1].Score || r.Score <= 0 || r.Score >= 1 {
			t.Errorf("results[%d] = %+v", i, r)
		}
	}
	if got := strings.Count(rank("one a\ntwo b\nthree c\n", "--top-n=2"), "\n"); got != 3 {
		t.Errorf("a table of the 2 best has %d lines, want 3", got)
	}
	if got := rank("a\tb \x1b[31mred\n", "--format=tsv"); strings.Count(got, "\t") != 6 || strings.Contains(got, "\x1b") {
		t.Errorf("tsv of a document with a tab and an escape: %q", got)
	}
}

func TestScoreStreamsInOrder(t *testing.T) {
	model := checkpoint(t, weightstest.Tiny())
	texts := []string{"a", "b", "c d", "", "e f g"}
	var stdin strings.Builder
	const n = 3*pairsPerCall + 1
	for i := range n {
		line, err := json.Marshal(map[string]string{"query": "q", "text": texts[i%len(texts)]})
		if err != nil {
			t.Fatal(err)
		}
		stdin.Write(append(line, '\n'))
	}
	output := filepath.Join(t.TempDir(), "scores.jsonl")
	status, stdout, stderr := execute(t, t.Context(), stdin.String(),
		"score", "--model", model, "--raw-scores", "--pairs", "-", "-o", output)
	if status != 0 || stdout != "" {
		t.Fatalf("status %d, stdout %q: %s", status, stdout, stderr)
	}
	data, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	rows := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	if len(rows) != n {
		t.Fatalf("%d lines, want %d", len(rows), n)
	}
	scores := make([]float64, n)
	for i, row := range rows {
		var got struct {
			Index int     `json:"index"`
			Score float64 `json:"score"`
		}
		if err := json.Unmarshal(row, &got); err != nil || got.Index != i {
			t.Fatalf("line %d is %s: %v", i, row, err)
		}
		if scores[i] = got.Score; got.Score != scores[i%len(texts)] {
			t.Errorf("line %d: score %v, the same pair had %v before", i, got.Score, scores[i%len(texts)])
		}
	}
}

// The error for a pair without a finite score has the pair's index among all pairs.
func TestScoreNamesThePair(t *testing.T) {
	spec := weightstest.Tiny()
	spec.Change = func(tensor string, i int, v float32) float32 {
		if strings.HasSuffix(tensor, "word_embeddings.weight") && i/spec.Hidden == slices.Index(spec.Vocab, "[MASK]") {
			return float32(math.NaN())
		}
		return v
	}
	stdin := strings.Repeat(`{"query":"q","text":"a"}`+"\n", pairsPerCall+3) + `{"query":"q","text":"[MASK]"}`
	status, _, stderr := execute(t, t.Context(), stdin, "score", "--model", checkpoint(t, spec), "--backend=cpu", "--pairs", "-")
	if want := fmt.Sprintf("pair %d has no finite score", pairsPerCall+3); status != 1 || !strings.Contains(stderr, want) {
		t.Errorf("status %d, %q, want 1 and %q", status, stderr, want)
	}
}

// From JSON lines to logits, compared with transformers; the long pairs are in engine's tests.
func TestScoreAgainstTransformers(t *testing.T) {
	golden, err := builtin.Goldens()
	if err != nil {
		t.Fatal(err)
	}
	var (
		stdin strings.Builder
		want  []float64
	)
	for _, p := range golden {
		if p.Tokens > 128 {
			continue
		}
		line, err := json.Marshal(map[string]string{"query": p.Query, "text": p.Document})
		if err != nil {
			t.Fatal(err)
		}
		stdin.Write(append(line, '\n'))
		want = append(want, p.Logit)
	}
	if len(want) < 20 {
		t.Fatalf("%d pairs, want at least 20", len(want))
	}
	status, stdout, stderr := execute(t, t.Context(), stdin.String(), "score", "--raw-scores", "--pairs", "-")
	if status != 0 {
		t.Fatal(stderr)
	}
	rows := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(rows) != len(want) {
		t.Fatalf("%d lines, want %d", len(rows), len(want))
	}
	for i, row := range rows {
		var got struct {
			Score float64 `json:"score"`
		}
		if err := json.Unmarshal([]byte(row), &got); err != nil || !(math.Abs(got.Score-want[i]) <= 1e-4) {
			t.Errorf("line %d: %s, want logit %v within 1e-4 (%v)", i+1, row, want[i], err)
		}
	}
}

func TestScoreRefusesToOverwriteItsInput(t *testing.T) {
	model := checkpoint(t, weightstest.Tiny())
	pairs := filepath.Join(t.TempDir(), "pairs.jsonl")
	const text = `{"query":"a","text":"b"}`
	if err := os.WriteFile(pairs, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	status, _, stderr := execute(t, t.Context(), "", "score", "--model", model, "--pairs", pairs, "-o", pairs)
	if kept, err := os.ReadFile(pairs); status != exitFailed || err != nil || string(kept) != text {
		t.Errorf("status %d, stderr %q; the file now holds %q (%v)", status, stderr, kept, err)
	}
}

// The scores before an error are kept in *.partial. A second run to the same file is refused while the first is under way.
func TestScoreOutputIsWholeOrPartial(t *testing.T) {
	model := checkpoint(t, weightstest.Tiny())
	output := filepath.Join(t.TempDir(), "scores.jsonl")
	score := func(stdin string) (status int, stderr string) {
		status, _, stderr = execute(t, t.Context(), stdin, "score", "--model", model, "--pairs", "-", "-o", output)
		return status, stderr
	}
	const pair = "{\"query\":\"a\",\"text\":\"b\"}\n"
	if status, stderr := score(pair); status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	whole, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	held, err := outfile.Create(output)
	if err != nil {
		t.Fatal(err)
	}
	if status, stderr := score(pair + pair); status != exitFailed || !strings.Contains(stderr, "another process is writing "+output) {
		t.Errorf("a second run: status %d: %s", status, stderr)
	}
	if err := held.Close(false); err != nil {
		t.Fatal(err)
	}
	if status, stderr := score(pair + pair + "{broken\n"); status != exitFailed || !strings.Contains(stderr, "line 3") ||
		!strings.Contains(stderr, "what was scored before is in "+output+".partial") {
		t.Errorf("a bad line: status %d: %s", status, stderr)
	}
	if kept, err := os.ReadFile(output); err != nil || !bytes.Equal(kept, whole) {
		t.Errorf("the output of the run before is now %q, %v", kept, err)
	}
	if partial, err := os.ReadFile(output + ".partial"); err != nil || bytes.Count(partial, []byte("\n")) != 2 {
		t.Errorf("partial: %q, %v", partial, err)
	}
	if status, stderr := score("{broken\n"); status != exitFailed || strings.Contains(stderr, ".partial") {
		t.Errorf("nothing was scored: status %d: %s", status, stderr)
	}
	if left, err := filepath.Glob(output + ".*"); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

func TestScoreWritesWhatCameBeforeABadLine(t *testing.T) {
	model := checkpoint(t, weightstest.Tiny())
	stdin := "{\"query\":\"a\",\"text\":\"b\"}\n{\"query\":\"a\",\"text\":\"b\"}\n{broken\n"
	status, stdout, stderr := execute(t, t.Context(), stdin, "score", "--model", model, "--pairs", "-")
	if status != exitFailed || strings.Count(stdout, "\n") != 2 || !strings.Contains(stderr, "line 3") {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
}

func TestScoreOfSeveralLabels(t *testing.T) {
	model := checkpoint(t, threeLabels())
	status, stdout, stderr := execute(t, t.Context(), `{"query":"a","text":"b"}`, "score", "--model", model, "--pairs", "-")
	if status != 0 {
		t.Fatal(stderr)
	}
	var got struct {
		Scores []float64 `json:"scores"`
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || len(got.Scores) != 3 {
		t.Fatalf("%s: %v", stdout, err)
	}
	if sum := got.Scores[0] + got.Scores[1] + got.Scores[2]; sum < 1-1e-9 || sum > 1+1e-9 {
		t.Errorf("softmax scores %v add up to %v", got.Scores, sum)
	}
	status, _, stderr = execute(t, t.Context(), "b\n", "rerank", "--model", model, "-q", "a")
	if status != exitFailed || !strings.Contains(stderr, "several labels") {
		t.Errorf("rerank by a classifier: status %d, stderr %q", status, stderr)
	}
}

func TestInfo(t *testing.T) {
	status, stdout, stderr := execute(t, t.Context(), "", "info")
	if status != 0 {
		t.Fatal(stderr)
	}
	for _, want := range []string{"BertForSequenceClassification", "12 of 32", "30522", "I8 (75 tensors, 33.3 MB), F32 (201 tensors, 0.5 MB)", "8 bits, a scale for each row",
		"LABEL_0", "WordPiece", "apache-2.0", "cross-encoder/ms-marco-MiniLM-L-12-v2", "cpu (", "float32"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("info lacks %q:\n%s", want, stdout)
		}
	}
}

func TestEnvironmentSetsFlags(t *testing.T) {
	t.Setenv("METALRANK_MODEL", checkpoint(t, weightstest.Tiny()))
	status, stdout, stderr := execute(t, t.Context(), "", "info")
	if status != 0 || !strings.Contains(stdout, weightstest.Tiny().Name) {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
}

// stuckReader is a terminal at which nobody types.
type stuckReader struct{ release chan struct{} }

func (r stuckReader) Read([]byte) (int, error) { <-r.release; return 0, io.EOF }

func TestInterruptWhileReading(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stdin := stuckReader{make(chan struct{})}
	defer close(stdin.release)
	var stderr bytes.Buffer
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"rerank", "-q", "x"}, streams{in: stdin, out: io.Discard, err: &stderr})
	}()
	cancel()
	select {
	case status := <-done:
		if status != exitFailed || !strings.Contains(stderr.String(), "interrupted") {
			t.Errorf("status %d, stderr %q", status, stderr.String())
		}
	case <-time.After(patience):
		t.Fatal("still reading after the interrupt")
	}
}

// failingWriter is a full disk.
type failingWriter struct{}

var errFull = errors.New("no space left")

func (failingWriter) Write([]byte) (int, error) { return 0, errFull }

func TestOutputFailureIsReported(t *testing.T) {
	model := checkpoint(t, weightstest.Tiny())
	for _, args := range [][]string{
		{"rerank", "-q", "x", "--model", model}, {"info", "--model", model}, {"score", "--pairs=-", "--model", model},
	} {
		var stderr bytes.Buffer
		stdin := strings.NewReader(`{"query": "q", "text": "a"}`)
		status := run(t.Context(), args, streams{in: stdin, out: failingWriter{}, err: &stderr})
		if status != exitFailed || !strings.Contains(stderr.String(), errFull.Error()) {
			t.Errorf("%s: status %d, stderr %q", args[0], status, stderr.String())
		}
	}
}
