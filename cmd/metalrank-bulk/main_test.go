package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/cmd/cli/jsonl"
	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// execute runs the command line as main does.
func execute(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	status = run(ctx, args, streams{cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errOut}})
	return status, out.String(), errOut.String()
}

func succeed(t *testing.T, args ...string) (stdout string) {
	t.Helper()
	status, stdout, stderr := execute(t.Context(), args...)
	if status != 0 {
		t.Fatalf("%v: status %d: %s", args, status, stderr)
	}
	return stdout
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// said is the standard error of a server; it sends the server's address to address.
type said struct {
	text    bytes.Buffer
	address chan string
}

func (s *said) Write(p []byte) (int, error) {
	if _, address, is := strings.Cut(string(p), "serving on "); is {
		s.address <- strings.TrimSpace(address)
	}
	return s.text.Write(p)
}

// serveHere runs the server until the test ends; it returns the flags for its clients.
func serveHere(t *testing.T, dir string) []string {
	t.Helper()
	token := write(t, filepath.Join(dir, "token"), "secret\n")
	ctx, stop := context.WithCancel(t.Context())
	stderr, done := &said{address: make(chan string, 1)}, make(chan int, 1)
	go func() {
		args := []string{"serve", "--listen", "127.0.0.1:0", "--store", filepath.Join(dir, "store"), "--token-file", token}
		done <- run(ctx, args, streams{cli.Streams{In: strings.NewReader(""), Out: io.Discard, Err: stderr}})
	}()
	select {
	case address := <-stderr.address:
		t.Cleanup(func() {
			stop()
			if status := <-done; status != 0 {
				t.Errorf("status %d: %s", status, &stderr.text)
			}
		})
		return []string{"--server", address, "--token-file", token}
	case status := <-done:
		stop()
		t.Fatalf("status %d: %s", status, &stderr.text)
		return nil
	}
}

// TestBulk runs submit, work and collect on a random checkpoint, and wants collect to write the engine's scores.
func TestBulk(t *testing.T) {
	dir := t.TempDir()
	model := filepath.Join(dir, "model")
	if err := weightstest.Write(model, weightstest.Tiny()); err != nil {
		t.Fatal(err)
	}
	var (
		lines strings.Builder
		pairs []engine.Pair
	)
	for i := range 300 {
		p := engine.Pair{Query: "a", Document: strings.Repeat("b c ", i%5)}
		pairs = append(pairs, p)
		fmt.Fprintf(&lines, "{\"query\":%q,\"text\":%q}\n", p.Query, p.Document)
	}
	e, err := engine.Open(t.Context(), engine.Config{Model: model})
	if err != nil {
		t.Fatal(err)
	}
	scores, err := e.Score(t.Context(), pairs, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	for i := range pairs {
		if err := jsonl.WriteScores(&want, i, scores.Row(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}

	input, output := write(t, filepath.Join(dir, "pairs.jsonl"), lines.String()), filepath.Join(dir, "scores.jsonl")
	flags := serveHere(t, dir)
	with := func(args ...string) []string { return append(args, flags...) }
	succeed(t, with("submit", "--job", "j", "--pairs", input, "--chunk-tokens", "100")...)
	succeed(t, with("work", "--model", model, "--until-done", "--name", "w")...)
	succeed(t, with("collect", "--job", "j", "-o", output)...)
	if got, err := os.ReadFile(output); err != nil || string(got) != want.String() {
		t.Errorf("collect wrote %d bytes, want the engine's %d: %v", len(got), want.Len(), err)
	}
	if got := succeed(t, with("collect", "--job", "j")...); got != want.String() {
		t.Error("collect writes something else to standard output")
	}
	if got := succeed(t, with("status")...); !strings.Contains(got, "j    300") || !strings.Contains(got, "0 workers") {
		t.Errorf("status:\n%s", got)
	}
	if got := succeed(t, with("status", "--json", "--job", "j")...); !strings.Contains(got, `"done":`) {
		t.Errorf("status: %s", got)
	}
	succeed(t, with("remove", "--job", "j")...)
	for want, args := range map[string][]string{
		"no such job: j":   with("collect", "--job", "j"),
		"no such job: k":   with("status", "--job", "k"),
		"no such file":     with("submit", "--job", "k", "--pairs", filepath.Join(dir, "nothing")),
		"Authorization":    {"status", flags[0], flags[1]},
		"no servers avail": {"status", "--server", "nats://127.0.0.1:1"},
	} {
		if status, _, stderr := execute(t.Context(), args...); status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%v: status %d, %q, want %q", args, status, stderr, want)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{}, 2, "expected one of"},
		{[]string{"serve"}, 2, "want --store DIR"},
		{[]string{"submit", "--job", "a.b", "--pairs", "-"}, 2, "want 1 to 64 of"},
		{[]string{"submit", "--job", "a", "--pairs", "-", "--tls-cert", os.Args[0]}, 2, "go together"},
		{[]string{"work", "--user", "x"}, 2, "go together"},
		{[]string{"work", "--name", "a b"}, 2, "--name"},
		{[]string{"work", "--precision", "fp1"}, 2, "--precision"},
		{[]string{"collect"}, 2, "--job"},
		{[]string{"--help"}, 0, ""},
		{[]string{"serve", "--help"}, 0, ""},
		{[]string{"serve", "--store", t.TempDir(), "--listen", "nowhere"}, 1, "want HOST:PORT"},
		{[]string{"serve", "--store", t.TempDir(), "--listen", "0.0.0.0:0"}, 1, "want --token-file, users in --config"},
		{[]string{"serve", "--store", t.TempDir(), "--listen", ":0"}, 1, "it asks nobody who they are: clients on"},
		{[]string{"serve", "--store", t.TempDir(), "--token-file", write(t, filepath.Join(t.TempDir(), "empty"), " \n")}, 1, "anybody could come in"},
	} {
		if status, _, stderr := execute(t.Context(), c.args...); status != c.status || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%v: status %d, %q, want %d, %q", c.args, status, stderr, c.status, c.stderr)
		}
	}
}
