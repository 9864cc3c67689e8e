package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/cmd/cli"
)

type noticeCommand struct {
	Write bool `help:"Write the list."`
}

// begin is the first line of NOTICE that this program writes; what stands above is written by hand.
const begin = "The programs contain libraries by others. LICENSES.txt in each archive has the texts of the licences.\n"

// Run is called by kong.
func (c *noticeCommand) Run(ctx context.Context, std cli.Streams) error {
	var all []part
	for _, p := range platforms {
		parts, err := partsOf(ctx, p)
		if err != nil {
			return err
		}
		for _, part := range parts {
			if !slices.ContainsFunc(all, part.same) {
				all = append(all, part)
			}
		}
	}
	before, err := os.ReadFile("NOTICE")
	if err != nil {
		return err
	}
	byHand, listed, _ := strings.Cut(string(before), begin)
	want := list(all)
	if listed == want {
		_, err := fmt.Fprintf(std.Out, "NOTICE names all %d parts by others\n", len(all))
		return err
	}
	if c.Write {
		return os.WriteFile("NOTICE", []byte(byHand+begin+want), 0o644)
	}
	return errors.Join(differences(listed, want, std.Out),
		errors.New("NOTICE differs from the programs: look at the licences, then `./build.sh release notice --write`"))
}

func (p part) same(other part) bool {
	return p.kind == other.kind && p.name == other.name && p.version == other.version
}

// list returns the part of NOTICE behind begin.
func list(parts []part) string {
	var text strings.Builder
	for _, kind := range []kind{module, crate, toolchain} {
		fmt.Fprintf(&text, "\n%s:\n\n", kind)
		var lines []string
		for _, p := range parts {
			if p.kind == kind {
				name := p.name
				if kind != toolchain { // those are of the machine that builds; the SBOM has their versions
					name += " " + p.version
				}
				lines = append(lines, fmt.Sprintf("  %s (%s)\n", name, p.licence))
			}
		}
		slices.Sort(lines)
		text.WriteString(strings.Join(lines, ""))
	}
	return text.String()
}

// differences prints the lines that only one of two texts has.
func differences(have, want string, out io.Writer) error {
	h, w := strings.Split(have, "\n"), strings.Split(want, "\n")
	for _, side := range []struct {
		sign         string
		lines, other []string
	}{{"-", h, w}, {"+", w, h}} {
		for _, line := range side.lines {
			if !slices.Contains(side.other, line) {
				if _, err := fmt.Fprintln(out, side.sign+line); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// licenceTexts returns the texts of all licences, each once, under the names of the parts that it is of.
func licenceTexts(parts []part) []byte {
	type entry struct {
		names []string
		text  string
	}
	var entries []*entry
	byText := map[[sha256.Size]byte]*entry{}
	add := func(name, text string) {
		key := sha256.Sum256([]byte(strings.Join(strings.Fields(text), " ")))
		if byText[key] == nil {
			byText[key] = &entry{text: text}
			entries = append(entries, byText[key])
		}
		if of := byText[key]; !slices.Contains(of.names, name) {
			of.names = append(of.names, name)
		}
	}
	for _, p := range parts {
		name := strings.TrimSpace(p.name + " " + p.version)
		for _, text := range p.texts {
			add(name, text)
		}
		if len(p.texts) == 0 {
			add(name, fmt.Sprintf("The source has no text of its licence: %s, see https://spdx.org/licenses/.", p.licence))
		}
	}
	var all strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&all, "%s\n%s\n\n%s\n\n", strings.Repeat("=", 80), strings.Join(e.names, "\n"), strings.TrimSpace(e.text))
	}
	return []byte(all.String())
}
