package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/weights/weightstest"
)

// TestServiceDryRun prints the file of a service whose flags serve, with time for its drain, and refuses flags that don't.
func TestServiceDryRun(t *testing.T) {
	model := checkpoint(t, weightstest.Tiny())
	for _, c := range []struct {
		args []string
		want string // a part of the output, or of the error
		ok   bool
	}{
		{[]string{"--", "--model=" + model, "--drain-delay=7s", "--drain-timeout=3s"}, "--drain-delay=7s", true},
		{[]string{"--", "--model=" + model, "--drain-delay=7s", "--drain-timeout=3s"}, "17", true}, // 7 + 3 + 1.5 + 5, rounded up
		{[]string{"--", "--model=no/such/folder"}, "no/such/folder", false},
		{[]string{"--", "--colour"}, "unknown flag --colour", false},
		{[]string{"--user=root"}, "--user: it has no effect without --system", false},
		{[]string{"--system", "--user=nobody-has-this-name"}, "nobody-has-this-name", false},
		{[]string{"--system"}, "name one with --user", false},
	} {
		command := prepare(t, append([]string{"service", "install", "--dry-run"}, c.args...)...)
		command.Env = append(command.Environ(), "SUDO_USER=", "METALRANK_MAX_LENGTH=1") // wrong, but the service doesn't have it
		var out, errOut bytes.Buffer
		command.Stdout, command.Stderr = &out, &errOut
		err := command.Run()
		said := errOut.String()
		if c.ok {
			said = out.String()
		}
		if (err == nil) != c.ok || !strings.Contains(said, c.want) {
			t.Errorf("%v: %v, %s%s", c.args, err, &out, &errOut)
		}
	}
}

// TestServeLogFile writes the log to a file, and refuses one in a folder that is none.
func TestServeLogFile(t *testing.T) {
	model, folder := checkpoint(t, weightstest.Tiny()), t.TempDir()
	status, _, stderr := execute(t, t.Context(), "", "serve", "--check", "--model="+model, "--log-file="+filepath.Join(folder, "log"), "--log-format=json")
	if status != 0 {
		t.Errorf("status %d, %s", status, stderr)
	}
	if _, err := os.Stat(filepath.Join(folder, "log")); err != nil {
		t.Error(err)
	}
	status, _, stderr = execute(t, t.Context(), "", "serve", "--check", "--model="+model, "--log-file="+filepath.Join(folder, "log", "log"))
	if status != exitFailed || !strings.Contains(stderr, "--log-file") {
		t.Errorf("status %d, %s", status, stderr)
	}
}
