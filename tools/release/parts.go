package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"

	"github.com/metalrank/metalrank/tools/fetched"
)

// A part is something by others that the programs contain.
type part struct {
	kind          kind
	name, version string
	licence       string // an expression of SPDX's
	texts         []string
}

type kind string

const (
	module    kind = "Go modules"
	crate     kind = "Rust crates, in the tokenizer library"
	toolchain kind = "Of the compilers"
)

// url is the part's package URL (github.com/package-url/purl-spec), or "" for parts of a compiler.
func (p part) url() string {
	switch p.kind {
	case module:
		return "pkg:golang/" + p.name + "@" + strings.ReplaceAll(p.version, "+", "%2B")
	case crate:
		return "pkg:cargo/" + p.name + "@" + p.version
	}
	return ""
}

// partsOf returns all parts of the programs for a platform, in order of kind and name.
func partsOf(ctx context.Context, p platform) ([]part, error) {
	var parts []part
	for _, list := range []func(context.Context, platform) ([]part, error){modules, crates, toolchainParts} {
		more, err := list(ctx, p)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(more, func(a, b part) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.version, b.version)) })
		parts = append(parts, more...)
	}
	return parts, nil
}

// modules returns the Go modules of the programs' packages. Texts lie in a module's root or in the folder of a package.
func modules(ctx context.Context, p platform) ([]part, error) {
	args := []string{"list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}\t{{.Dir}}\t{{$.Dir}}{{end}}{{end}}"}
	for _, program := range programs {
		args = append(args, "./cmd/"+program)
	}
	out, err := output(ctx, p.variables(), "go", args...)
	if err != nil {
		return nil, err
	}
	folders := map[[3]string][]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 4 {
			continue
		}
		key := [3]string(fields[:3])
		for folder := fields[3]; ; folder = filepath.Dir(folder) {
			if !slices.Contains(folders[key], folder) {
				folders[key] = append(folders[key], folder)
			}
			if folder == fields[2] || len(folder) < len(fields[2]) {
				break
			}
		}
	}
	var parts []part
	for key, of := range folders {
		slices.Sort(of)
		part := part{kind: module, name: key[0], version: key[1]}
		var licences []string
		for _, folder := range of {
			texts, err := licenceFiles(folder)
			if err != nil {
				return nil, err
			}
			for _, text := range texts {
				part.texts = append(part.texts, text)
				for _, match := range licensecheck.Scan([]byte(text)).Match {
					if !match.IsURL && match.ID != patents && !slices.Contains(licences, match.ID) {
						licences = append(licences, match.ID)
					}
				}
			}
		}
		slices.Sort(licences)
		if part.licence = strings.Join(licences, " AND "); part.licence == "" {
			return nil, fmt.Errorf("%s %s: no licence was found in %s", part.name, part.version, key[2])
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// patents is the grant beside the licence of Go's own modules. SPDX has no name for it.
const patents = "GooglePatentsFile"

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]es?|copying|notice|patents|unlicense)([-._].*)?$`)

// licenceFiles returns the texts of licences and notices in a folder.
func licenceFiles(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, entry := range entries {
		if entry.Type().IsRegular() && licenceFile.MatchString(entry.Name()) && filepath.Ext(entry.Name()) != ".go" {
			text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
			if err != nil {
				return nil, err
			}
			texts = append(texts, string(text))
		}
	}
	return texts, nil
}

// crates returns the crates that libtokenizers.a contains: not those that only take part in its build.
func crates(ctx context.Context, p platform) ([]part, error) {
	out, err := output(ctx, nil, "cargo", "metadata", "--format-version=1", "--locked", "--filter-platform="+p.rust,
		"--manifest-path=tools/libtokenizers/Cargo.toml")
	if err != nil {
		return nil, err
	}
	type crateTarget struct{ Kind []string }
	var metadata struct {
		Packages []struct {
			ID, Name, Version, License string
			Source                     *string
			ManifestPath               string `json:"manifest_path"`
			Targets                    []crateTarget
		}
		Resolve struct {
			Root  string
			Nodes []struct {
				ID   string
				Deps []struct {
					Pkg      string
					DepKinds []struct{ Kind *string } `json:"dep_kinds"`
				}
			}
		}
	}
	if err := json.Unmarshal(out, &metadata); err != nil {
		return nil, fmt.Errorf("cargo metadata: %w", err)
	}
	macros := map[string]bool{}
	for _, c := range metadata.Packages {
		macros[c.ID] = slices.ContainsFunc(c.Targets, func(t crateTarget) bool { return slices.Contains(t.Kind, "proc-macro") })
	}
	linked := map[string]bool{}
	for next := []string{metadata.Resolve.Root}; len(next) > 0; next = next[1:] {
		if linked[next[0]] || macros[next[0]] {
			continue
		}
		linked[next[0]] = true
		for _, node := range metadata.Resolve.Nodes {
			for _, d := range node.Deps {
				if node.ID == next[0] && slices.ContainsFunc(d.DepKinds, func(k struct{ Kind *string }) bool { return k.Kind == nil }) {
					next = append(next, d.Pkg)
				}
			}
		}
	}
	var parts []part
	for _, c := range metadata.Packages {
		if !linked[c.ID] || c.Source == nil { // ours have no source
			continue
		}
		if c.License == "" {
			return nil, fmt.Errorf("crate %s %s: no licence", c.Name, c.Version)
		}
		texts, err := licenceFiles(filepath.Dir(c.ManifestPath))
		if err != nil {
			return nil, err
		}
		// Cargo's old separator.
		parts = append(parts, part{crate, c.Name, c.Version, strings.ReplaceAll(c.License, "/", " OR "), texts})
	}
	return parts, nil
}

// toolchainParts returns the libraries that the compilers add.
func toolchainParts(ctx context.Context, p platform) ([]part, error) {
	goroot, err := output(ctx, nil, "go", "env", "GOROOT", "GOVERSION")
	if err != nil {
		return nil, err
	}
	sysroot, err := output(ctx, nil, "rustc", "--print=sysroot")
	if err != nil {
		return nil, err
	}
	rustVersion, err := output(ctx, nil, "rustc", "--version")
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(goroot), "\n")
	rust := filepath.Join(string(bytes.TrimSpace(sysroot)), "share", "doc", "rust", "licenses")
	parts := []part{
		{toolchain, "Go's runtime and standard library", strings.TrimPrefix(lines[1], "go"), "BSD-3-Clause",
			[]string{filepath.Join(lines[0], "LICENSE"), filepath.Join(lines[0], "PATENTS")}},
		{toolchain, "Rust's standard library", strings.Fields(string(rustVersion))[1], "MIT OR Apache-2.0",
			[]string{filepath.Join(rust, "MIT.txt"), filepath.Join(rust, "Apache-2.0.txt")}},
	}
	if p.goos == "linux" {
		zig, err := fetched.ZigPath()
		if err != nil {
			return nil, err
		}
		lib := filepath.Join(filepath.Dir(zig), "lib")
		parts = append(parts,
			part{toolchain, "musl, of zig", fetched.ZigVersion, "MIT", []string{filepath.Join(lib, "libc", "musl", "COPYRIGHT")}},
			part{toolchain, "LLVM's compiler-rt and libunwind, of zig", fetched.ZigVersion, "Apache-2.0 WITH LLVM-exception", []string{filepath.Join(lib, "libunwind", "LICENSE.TXT")}})
	}
	for i, of := range parts {
		parts[i].texts = nil
		for _, path := range of.texts {
			// The check of NOTICE needs no texts, nor zig.
			if text, err := os.ReadFile(path); err == nil {
				parts[i].texts = append(parts[i].texts, string(text))
			} else if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	return parts, nil
}
