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

func TestNotes(t *testing.T) {
	const changelog = "# Changelog\n\n## [Unreleased]\n\n- new\n\n## [0.2.0] - 2026-12-01\n\n### Fixed\n\n- it\n\n## [0.1.0] - 2026-11-29\n\n- first\n\n[0.1.0]: https://x\n"
	for version, want := range map[string]string{
		"v0.2.0": "### Fixed\n\n- it\n", "v0.1.0": "- first\n", "v0.3.0": "no section ## [0.3.0]", "v0.2": "no section ## [0.2]",
	} {
		notes, err := notesOf(changelog, version)
		if err != nil {
			notes = err.Error()
		}
		if !strings.HasSuffix(notes, want) {
			t.Errorf("%s: got %q, want %q", version, notes, want)
		}
	}
	if _, err := notesOf("## [1.0.0]\n\n## [0.9.0]\n- x\n", "v1.0.0"); err == nil {
		t.Error("an empty section is taken")
	}
	text, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := notesOf(string(text), "Unreleased"); err != nil {
		t.Error(err)
	}
}

func TestFormula(t *testing.T) {
	formula, err := os.ReadFile("../../" + formulaFile)
	if err != nil {
		t.Fatal(err)
	}
	sum := strings.Repeat("ab", 32)
	sums := strings.Repeat("00", 32) + "  metalrank-v1.2.3-linux-amd64.tar.gz\n" + sum + "  metalrank-v1.2.3-darwin-arm64.tar.gz\n"
	filled, err := fillFormula(string(formula), "v1.2.3", sums)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"  sha256 \"" + sum + "\"\n", "/releases/download/v1.2.3/metalrank-v1.2.3-darwin-arm64.tar.gz\"\n",
	} {
		if !strings.Contains(filled, want) {
			t.Errorf("no %q in\n%s", want, filled)
		}
	}
	for version, sums := range map[string]string{
		"v1.2.4": sums, "v1.2.3": sum + "  metalrank-v1.2.3-darwin-arm64-stub.tar.gz\n", "v1.2.5": "x  metalrank-v1.2.5-darwin-arm64.tar.gz\n",
	} {
		if _, err := fillFormula(string(formula), version, sums); err == nil {
			t.Errorf("%s, %q: taken", version, sums)
		}
	}
}

// TestArchive wants the same bytes of the same files, whenever they are written, and what was put in to come out.
func TestArchive(t *testing.T) {
	folder := t.TempDir()
	files := map[string]file{"bin/program": {[]byte("#!/bin/sh\n"), true}, "b": {data: []byte("text")}, "a/b/c": {}}
	var written [2][]byte
	for i, name := range []string{"one.tar.gz", "two.tar.gz"} {
		path := filepath.Join(folder, name)
		if err := writeArchive(path, "top", files, "2026-11-29T19:54:19Z"); err != nil {
			t.Fatal(err)
		}
		var err error
		if written[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(written[0], written[1]) {
		t.Error("two archives of the same files differ")
	}
	top, err := unpack(filepath.Join(folder, "one.tar.gz"), folder)
	if err != nil || top != "top" {
		t.Fatalf("%q, %v", top, err)
	}
	for name, want := range files {
		path := filepath.Join(folder, top, name)
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(data, want.data) {
			t.Errorf("%s: %q, %v", name, data, err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o111 != 0 != want.program || info.ModTime().IsZero() {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// TestLicenceTexts wants each text once, and a word where there is none.
func TestLicenceTexts(t *testing.T) {
	text := string(licenceTexts([]part{
		{module, "one", "v1", "MIT", []string{"MIT License\nof one"}},
		{crate, "two", "2", "MIT", []string{"MIT  License of one\n"}},
		{crate, "three", "3", "Zlib", nil},
	}))
	if strings.Count(text, "License") != 1 || !strings.Contains(text, "one v1\ntwo 2\n") || !strings.Contains(text, "three 3\n\nThe source has no text of its licence: Zlib") {
		t.Errorf("got %s", text)
	}
}

// TestWrongInput wants each mistake to be named before anything slow happens.
func TestWrongInput(t *testing.T) {
	folder := t.TempDir()
	cut := filepath.Join(folder, "metalrank-v1.2.3-linux-amd64.tar.gz")
	if err := writeArchive(cut, "top", map[string]file{"bin/metalrank": {make([]byte, 1000), true}}, "2026-11-29T19:54:19Z"); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(cut, 100); err != nil {
		t.Fatal(err)
	}
	std := cli.Streams{Out: io.Discard, Err: io.Discard}
	library := func(platform string) *buildCommand {
		return &buildCommand{Library: cli.Assignments{platform: folder}, Folder: filepath.Join(folder, "made")}
	}
	for want, err := range map[string]error{
		"its name is not that":       tryArchive(t.Context(), filepath.Join(folder, "metalrank-v1.2.3-darwin-arm64-stub.tar.gz"), io.Discard),
		"no such file":               tryArchive(t.Context(), filepath.Join(folder, "metalrank-v1.2.4-linux-arm64.tar.gz"), io.Discard),
		"unexpected EOF":             tryArchive(t.Context(), cut, io.Discard),
		"has no archives":            (&sumsCommand{t.TempDir()}).Run(std),
		`there is no platform "mac"`: library("mac").check(),
		"libtokenizers.a":            library("linux-amd64").check(),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
