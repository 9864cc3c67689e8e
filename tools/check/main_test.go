package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/cmd/cli"
)

// repository returns a git repository with the files, as the working directory.
func repository(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "git", "init", "-q").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func check(t *testing.T, names ...string) (status int, out string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status = run(t.Context(), names, cli.Streams{Out: &stdout, Err: &stderr})
	return status, stdout.String() + stderr.String()
}

const goMod = "module example.com/x\n\ngo 1.26\n"

func TestSteps(t *testing.T) {
	for _, test := range []struct {
		step   string
		files  map[string]string
		status int
		says   string
	}{
		{"gofmt", map[string]string{"go.mod": goMod, "a.go": "package a\n"}, 0, "ok    gofmt"},
		{"gofmt", map[string]string{"go.mod": goMod, "a.go": "package  a\n"}, 1, "      a.go"},
		{"vet", map[string]string{"go.mod": goMod, "a.go": "package a\n\nfunc f() { return 1 }\n"}, 1, "too many return values"},
		{"vet-other", map[string]string{"go.mod": goMod, "a.go": "package a\n"}, 0, "ok    vet-other"},
		{"vet-other", map[string]string{"go.mod": goMod, "a.go": "package a\n", "a_darwin.go": "package a\n\nvar x int = \"\"\n",
			"a_linux.go": "package a\n\nvar x int = \"\"\n"}, 1, "cannot use"},
		{"tidy", map[string]string{"go.mod": goMod + "\nrequire example.com/y v1.0.0\n", "a.go": "package a\n"}, 1, "example.com/y"},
		{"size", map[string]string{"bin/metalrank": "small"}, 0, "ok    size"},
		{"size", map[string]string{"bin/metalrank": strings.Repeat("x", mostBytes+1)}, 1, "54000001 bytes"},
		{"size", nil, 1, "no such file"},
		{"tree", map[string]string{"go.mod": goMod, "a.go": "package a\n"}, 0, "ok    tree"},
		{"tree", map[string]string{"go.mod": goMod, "a.go": "package a\n\n//go:generate touch made\n"}, 1, "made"},
	} {
		repository(t, test.files)
		if status, out := check(t, test.step); status != test.status || !strings.Contains(out, test.says) {
			t.Errorf("%s of %v: status %d, %s", test.step, test.files, status, out)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	if status, out := check(t, "speling"); status != 2 || !strings.Contains(out, `no step "speling"`) || !strings.Contains(out, "metallint") {
		t.Errorf("status %d, %s", status, out)
	}
	t.Chdir(t.TempDir())
	if status, out := check(t, "size"); status != 1 || !strings.Contains(out, "git ls-files") {
		t.Errorf("outside a repository: status %d, %s", status, out)
	}
}

func TestChanges(t *testing.T) {
	before := map[string]string{"same": "1", "gone": "1", "other": "1"}
	after := map[string]string{"same": "1", "new": "1", "other": "2"}
	if got, want := changes(before, after), []string{"gone", "new", "other"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A run that is interrupted fails.
func TestInterrupted(t *testing.T) {
	repository(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if status := run(ctx, nil, cli.Streams{Out: t.Output(), Err: t.Output()}); status != 1 {
		t.Errorf("status %d", status)
	}
}

func TestDocs(t *testing.T) {
	for _, test := range []struct {
		readme string
		status int
		says   string
	}{
		{"```sh\ntouch a\ntest -f \\\n  a\n```\n", 0, "ok    docs"},
		{"text\n\n```sh\ntrue\nfalse\n```\n", 1, "README.md:4: exit status 1"},
		{"```console\n$ false\nsome output\n```\n", 1, "README.md:2: exit status 1"},
		{"```console\n$ true\nfalse\n```\n", 0, "ok    docs"},
		{"```sh norun\nfalse\n```\n", 0, "ok    docs"},
		{"```json\nfalse\n```\n", 0, "ok    docs"},
		{"[a](README.md#part), [b](https://example.com/x)\n", 0, "ok    docs"},
		{"[a](docs/none.md)\n", 1, "a link to docs/none.md, which is not there"},
		{"```sh\nbin/metalrank serve\n```\n", 1, "it ended before it served"},
	} {
		repository(t, map[string]string{"README.md": test.readme})
		if status, out := check(t, "docs"); status != test.status || !strings.Contains(out, test.says) {
			t.Errorf("%q: status %d, %s", test.readme, status, out)
		}
	}
	// A server runs until the end of its file.
	repository(t, map[string]string{
		"README.md":     "```sh\nbin/metalrank serve --listen x\ntest -f started\n```\n\n```sh\ntest ! -f stopped\n```\n",
		"bin/metalrank": "#!/bin/bash\ntrap 'touch stopped; exit' TERM\ntouch started\necho msg=serving address=x >&2\nwhile true; do sleep 0.01; done\n",
	})
	if err := os.Chmod("bin/metalrank", 0o755); err != nil {
		t.Fatal(err)
	}
	if status, out := check(t, "docs"); status != 0 {
		t.Errorf("status %d, %s", status, out)
	}
	if _, err := os.Stat("stopped"); err != nil {
		t.Error(err)
	}
}
