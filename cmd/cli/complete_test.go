package cli

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// completed is a command line with the commands that a shell and a reader of manuals need.
type completed struct {
	Plain      plain      `cmd:"" help:"Be plain: it's -x."`
	Other      passing    `cmd:"" passthrough:""`
	Nested     nested     `cmd:"" help:".First."`
	Completion Completion `cmd:""`
	Manual     Manual     `cmd:"" hidden:""`
}

type nested struct {
	Inner slow `cmd:"" aliases:"within"`
}

type passing struct {
	Args []string `arg:"" optional:""`
}

func (*passing) Run() error { return nil }

func (*passing) Complete(shell string, words []string) error {
	return os.WriteFile(os.Getenv("PASSED"), []byte(shell+" "+strings.Join(words, ",")), 0o600)
}

func TestCompletion(t *testing.T) {
	t.Setenv("PASSED", filepath.Join(t.TempDir(), "passed"))
	for _, test := range []struct {
		words []string
		want  string // the candidates, with spaces between
	}{
		{[]string{""}, "plain other nested completion"},
		{[]string{"pl"}, "plain"},
		{[]string{"nested", ""}, "inner"},
		{[]string{"plain", "--ki"}, "--kind"},
		{[]string{"plain", "--kind", "int8", "--ki"}, ""},
		{[]string{"plain", "--list", "a", "--li"}, "--list"},
		{[]string{"plain", "--kind", ""}, "int8 fp16"},
		{[]string{"plain", "--kind", "f"}, "fp16"},
		{[]string{"plain", "--kind", "="}, "int8 fp16"},
		{[]string{"plain", "--kind", "=", "i"}, "int8"},
		{[]string{"plain", "--kind", "=", "int8", "--fa"}, "--fail"},
		{[]string{"plain", "--kind=i"}, "--kind=int8"},
		{[]string{"plain", "--file", ""}, ""},
		{[]string{"plain", "--", "--ki"}, ""},
		{[]string{"plain", "argument", "plain"}, ""},
		{[]string{"completion", "z"}, "zsh"},
		{[]string{"nested", "within", "--h"}, "--help"},
	} {
		var out, errOut bytes.Buffer
		status := Run(t.Context(), Program{Name: "prog", Grammar: &completed{}}, append([]string{"completion", "bash", "--"}, test.words...),
			Streams{Out: &out, Err: &errOut})
		if got := strings.Join(strings.Fields(out.String()), " "); status != 0 || got != test.want {
			t.Errorf("%q: status %d, got %q, want %q %s", test.words, status, got, test.want, &errOut)
		}
	}
	if got := printed(t, "completion", "fish", "--", "other", "sub", "--x"); got != "" {
		t.Errorf("got %q", got)
	}
	if passed, err := os.ReadFile(os.Getenv("PASSED")); err != nil || string(passed) != "fish sub,--x" {
		t.Errorf("the other program got %q, %v", passed, err)
	}
	if got := printed(t, "completion", "zsh", "--", "pl"); got != "plain:Be plain: it's -x.\n" {
		t.Errorf("zsh: got %q", got)
	}
}

// printed runs the command line completed.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	if status := Run(t.Context(), Program{Name: "prog", Description: "Does nothing.", Grammar: &completed{}}, args, Streams{Out: &out, Err: &errOut}); status != 0 {
		t.Fatalf("%q: status %d: %s", args, status, &errOut)
	}
	return out.String()
}

// TestShells has the shells that there are read the scripts, and bash complete a word. It calls itself as the program.
func TestShells(t *testing.T) {
	folder := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := "#!/bin/sh\nCOMPLETES=1 exec " + self + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(folder, "prog"), []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	for shell, args := range map[string][]string{
		"bash": {"--norc", "-c", `. "$0" && COMP_WORDS=(prog plain --kind f) COMP_CWORD=3 && _prog && printf %s "${COMPREPLY[*]}"`},
		"zsh":  {"-f", "-c", `compdef() {}; _describe() { print -rn -- ${(P)2} }; . "$0" && words=(prog plain --kind f) CURRENT=4 && _prog`},
		"fish": {"--no-config", "-c", `source $argv[1]; printf %s (string replace -r '\s.*' '' (complete -C 'prog plain --kind f'))`},
	} {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skip("there is no ", shell)
			}
			script := filepath.Join(folder, shell)
			if err := os.WriteFile(script, []byte(printed(t, "completion", shell)), 0o600); err != nil {
				t.Fatal(err)
			}
			command := exec.CommandContext(t.Context(), path, append(args, script)...)
			command.Env = append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"), "HOME="+folder)
			if out, err := command.CombinedOutput(); err != nil || string(out) != "fp16" {
				t.Errorf("%v: got %q, want fp16", err, out)
			}
		})
	}
}

func TestMain(m *testing.M) {
	if os.Getenv("COMPLETES") != "" {
		os.Exit(Run(context.Background(), Program{Name: "prog", Grammar: &completed{}}, os.Args[1:], Streams{os.Stdin, os.Stdout, os.Stderr}))
	}
	os.Exit(m.Run())
}

func TestManual(t *testing.T) {
	text := printed(t, "manual")
	for _, want := range []string{
		".TH \"PROG\" 1", "prog \\- Does nothing\n", ".SS \"plain [<arg>] [flags]\"\nBe plain: it's \\-x.\n",
		".SS \"nested inner (within)", "\\fB\\-\\-max\\-batch\\-tokens\\fR=\\fIINT\\fR\nN.\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, ".SS \"manual") {
		t.Error("the hidden command is there")
	}
	if got := troff.Replace("\n.a\n'b\\-"); got != "\n\\&.a\n\\&'b\\e\\-" {
		t.Errorf("got %q", got)
	}
	program, err := exec.LookPath("mandoc")
	if err != nil {
		return // only one system has it
	}
	lint := exec.CommandContext(t.Context(), program, "-Tlint", "-Wwarning")
	lint.Stdin = strings.NewReader(strings.Replace(text, ` 1 ""`, ` 1 "2026-11-29"`, 1)) // the test has no date
	if out, err := lint.CombinedOutput(); err != nil {
		t.Errorf("mandoc: %v\n%s", err, out)
	}
}
