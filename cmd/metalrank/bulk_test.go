package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestBulkIsAnotherProgram runs a copy of this very test program as metalrank: alone, and with a metalrank-bulk beside it.
func TestBulkIsAnotherProgram(t *testing.T) {
	if i := slices.Index(os.Args, "--as-metalrank"); i >= 0 {
		os.Exit(run(t.Context(), os.Args[i+1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
	}
	own := filepath.Join(t.TempDir(), "metalrank")
	copyProgram(t, own)
	bulk := func(args ...string) (string, int) {
		args = append([]string{"-test.run", "^TestBulkIsAnotherProgram$", "--", "--as-metalrank", "bulk"}, args...)
		c := exec.Command(own, args...)
		c.Env = append(os.Environ(), "PATH=/nowhere")
		out, _ := c.CombinedOutput() // its status is looked at
		return string(out), c.ProcessState.ExitCode()
	}
	if out, status := bulk("status"); status != 1 || !strings.Contains(out, "metalrank-bulk, which is neither in") {
		t.Errorf("alone: status %d, %s", status, out)
	}
	script := "#!/bin/sh\necho \"bulk: $*\"\nexit 7\n"
	if err := os.WriteFile(filepath.Join(filepath.Dir(own), "metalrank-bulk"), []byte(script), 0o777); err != nil {
		t.Fatal(err)
	}
	if out, status := bulk("submit", "--help", "--job=x y", "-"); status != 7 || out != "bulk: submit --help --job=x y -\n" {
		t.Errorf("beside another: status %d, %q", status, out)
	}
}

func copyProgram(t *testing.T, to string) {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if os.Link(own, to) == nil {
		return
	}
	in, err := os.Open(own)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o777)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
