package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/cmd/cli"
)

const right = "{\"index\":0,\"score\":0.5}\n{\"index\":1,\"score\":0.25}\n"

// compare finds each kind of wrong result.
func TestCompare(t *testing.T) {
	for want, bulk := range map[string]string{
		"":                                     right,
		"bulk has 1 results, want 2":           "{\"index\":0,\"score\":0.5}\n",
		"bulk goes on after 2 results":         right + "{\"index\":1,\"score\":0.25}\n",
		"line 2 is {\"index\":1,\"score\":0.2": "{\"index\":0,\"score\":0.5}\n{\"index\":1,\"score\":0.2500001}\n",
		"line 1 is {\"index\":1":               "{\"index\":1,\"score\":0.25}\n{\"index\":0,\"score\":0.5}\n",
	} {
		dir := t.TempDir()
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		for path, text := range map[string]string{a: right, b: bulk} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := compare(io.Discard, 2, a, b)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(path, []byte(right), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := compare(io.Discard, 3, path, path); err == nil {
		t.Error("2 results are enough for 3 pairs")
	}
}

func TestPairsDependOnTheSeed(t *testing.T) {
	text := func(seed uint64) []byte {
		path := filepath.Join(t.TempDir(), "pairs")
		if err := writePairs(path, 100, seed); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if first := text(1); !bytes.Equal(first, text(1)) || bytes.Equal(first, text(2)) || bytes.Count(first, []byte("\n")) != 100 {
		t.Errorf("pairs:\n%s", first)
	}
}

// Pairs that fit into the server's queue fail the test: the submission can't be killed under way.
func TestTooFewPairs(t *testing.T) {
	f, err := newFleet(t.Context(), &options{Metalrank: "true"}, t.TempDir()) // a submission that ends at once, and well
	if err != nil {
		t.Fatal(err)
	}
	if err := f.submitUntilKilled(&task{name: "submit", kills: &f.kills.submissions}); err == nil || !strings.Contains(err.Error(), "--pairs") {
		t.Errorf("error %v, want one about --pairs", err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"--pairs=0"}, {"more"}, {"--ack-wait=1ms"}} {
		if status := run(t.Context(), args, cli.Streams{Out: io.Discard, Err: io.Discard}); status != 2 {
			t.Errorf("%v: status %d, want 2", args, status)
		}
	}
}
