// Release makes the archives that are published, and the files that go with them. `./build.sh release` runs it in the root of
// the repository. The same commit gives the same bytes with the same Go, Rust and zig, wherever it is built.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/cmd/cli"
)

// command is the grammar of the command line.
type command struct {
	Build   buildCommand   `cmd:"" help:"Make the archives and their checksums."`
	Try     tryCommand     `cmd:"" help:"Unpack archives for Linux in an empty root, and run the programs there."`
	Sums    sumsCommand    `cmd:"" help:"Write SHA256SUMS of the archives and the image in a folder."`
	Notice  noticeCommand  `cmd:"" help:"Compare NOTICE with the licences of everything that the programs contain."`
	Notes   notesCommand   `cmd:"" help:"Print what CHANGELOG.md says of a version."`
	Formula formulaCommand `cmd:"" help:"Print the Homebrew formula of a version."`
	Module  moduleCommand  `cmd:"" help:"Show that go get and go install work with the last commit."`
}

func main() {
	cli.Program{Name: "release", Description: "Makes what is published of a version.", Grammar: &command{}}.Main()
}

type buildCommand struct {
	Library  cli.Assignments `required:"" placeholder:"PLATFORM=DIR" help:"A platform to build for, and the folder of its libtokenizers.a. Again for more."`
	Programs string          `required:"" type:"path" placeholder:"DIR" help:"This machine's programs of the same source, which print manual pages and completions."`
	Folder   string          `arg:"" type:"path" help:"Folder for the archives."`
}

// Run is called by kong.
func (c *buildCommand) Run(ctx context.Context, std cli.Streams) error {
	build := cli.CurrentBuild()
	if build.Date == "" {
		return fmt.Errorf("the commit's date is not known: run ./build.sh release in a checkout with git")
	}
	if err := c.check(); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Folder, 0o755); err != nil {
		return err
	}
	for _, p := range platforms {
		library, ok := c.Library[p.name()]
		if !ok {
			continue
		}
		fmt.Fprintf(std.Err, "release: %s, some minutes the first time\n", p.name())
		if err := c.archive(ctx, p, library, build, std.Err); err != nil {
			return fmt.Errorf("%s: %w", p.name(), err)
		}
	}
	return (&sumsCommand{c.Folder}).Run(std)
}

// check wants the platforms and their libraries to be there.
func (c *buildCommand) check() error {
	for name, library := range c.Library {
		if !slices.ContainsFunc(platforms, func(p platform) bool { return p.name() == name }) {
			return fmt.Errorf("--library: there is no platform %q", name)
		}
		if _, err := os.Stat(filepath.Join(library, "libtokenizers.a")); err != nil {
			return fmt.Errorf("--library: %s: %w", name, err)
		}
	}
	return nil
}

type sumsCommand struct {
	Folder string `arg:"" type:"path" help:"The folder."`
}

// Run is called by kong.
func (c *sumsCommand) Run(std cli.Streams) error {
	archives, err := filepath.Glob(filepath.Join(c.Folder, "metalrank-*.tar*"))
	if err != nil || len(archives) == 0 {
		return cmp.Or(err, fmt.Errorf("%s has no archives of metalrank", c.Folder))
	}
	sums, err := checksums(archives)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.Folder, "SHA256SUMS"), []byte(sums), 0o644); err != nil {
		return err
	}
	_, err = io.WriteString(std.Out, sums)
	return err
}

// archive makes that of one platform.
func (c *buildCommand) archive(ctx context.Context, p platform, library string, build cli.Build, progress io.Writer) error {
	work, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := p.compile(ctx, library, work, build, progress); err != nil {
		return err
	}
	parts, err := partsOf(ctx, p)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if part.kind == toolchain && len(part.texts) == 0 {
			return fmt.Errorf("%s: its installation here lacks the text of its licence", part.name)
		}
	}
	files := map[string]file{"LICENSES.txt": {data: licenceTexts(parts)}}
	for _, program := range programs {
		data, err := os.ReadFile(filepath.Join(work, program))
		if err != nil {
			return err
		}
		files["bin/"+program] = file{data, true}
	}
	for _, name := range []string{"LICENSE", "NOTICE", "CHANGELOG.md"} {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files[name] = file{data: data}
	}
	if err := c.generated(ctx, files); err != nil {
		return err
	}
	bom, err := billOfMaterials(ctx, parts, build, p, progress)
	if err != nil {
		return err
	}
	files["sbom.cdx.json"] = file{data: bom}
	name := strings.Join([]string{"metalrank", build.Version, p.label()}, "-")
	return writeArchive(filepath.Join(c.Folder, name+".tar.gz"), name, files, build.Date)
}

// programs are in every archive.
var programs = []string{"metalrank", "metalrank-bulk"}

// generated adds the files that the programs print.
func (c *buildCommand) generated(ctx context.Context, files map[string]file) error {
	for _, program := range programs {
		for path, args := range map[string][]string{
			"share/man/man1/" + program + ".1":                     {"manual"},
			"share/bash-completion/completions/" + program:         {"completion", "bash"},
			"share/zsh/site-functions/_" + program:                 {"completion", "zsh"},
			"share/fish/vendor_completions.d/" + program + ".fish": {"completion", "fish"},
		} {
			out, err := output(ctx, nil, filepath.Join(c.Programs, program), args...)
			if err != nil {
				return err
			}
			files[path] = file{data: out}
		}
	}
	return nil
}
