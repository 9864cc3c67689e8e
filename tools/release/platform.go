package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/tools/fetched"
)

// A platform is a system that there are archives for.
type platform struct {
	goos, goarch string
	zig, rust    string // names of the target
	cpu          string // zig's name of the oldest processor
}

// platforms are all of them. Programs for Linux are static: they need no library of the system, of any age.
var platforms = []platform{
	{"darwin", "arm64", "", "aarch64-apple-darwin", ""},
	// Zig switches evex512 off for the oldest processor, and clang 20 then has no AVX-512 for single functions either.
	{"linux", "amd64", "x86_64-linux-musl", "x86_64-unknown-linux-musl", "x86_64+evex512"},
	{"linux", "arm64", "aarch64-linux-musl", "aarch64-unknown-linux-musl", "generic"},
}

func (p platform) name() string { return p.goos + "-" + p.goarch }

// stubbed says that the programs are linked with a stub of the macOS SDK: good for a check of the way, not to be published.
func (p platform) stubbed() bool { return p.goos == "darwin" && runtime.GOOS != "darwin" }

// label is the platform's name in that of the archive.
func (p platform) label() string {
	if p.stubbed() {
		return p.name() + "-stub"
	}
	return p.name()
}

// variables make the go command build for the platform.
func (p platform) variables() []string {
	return []string{"GOOS=" + p.goos, "GOARCH=" + p.goarch, "CGO_ENABLED=1"}
}

// toolchain returns the variables that choose C compiler and linker.
func (p platform) toolchain(ctx context.Context, progress io.Writer) ([]string, error) {
	switch {
	case p.stubbed():
		out, err := output(ctx, nil, "go", "run", "./tools/check/darwincheck", "env")
		return strings.Split(strings.TrimSpace(string(out)), "\n"), err
	case p.goos == "darwin":
		return nil, nil // Apple's own
	}
	zig, err := fetched.Zig(ctx, progress)
	if err != nil {
		return nil, err
	}
	cache, err := fetched.Cache()
	target := " -target " + p.zig + " -mcpu=" + p.cpu
	return []string{
		"CC='" + zig + "' cc" + target, "CXX='" + zig + "' c++" + target,
		"ZIG_GLOBAL_CACHE_DIR=" + cache + "/zig", "CGO_CFLAGS=-O2",
	}, err
}

// compile builds the programs into folder. Nothing of this machine gets into them: paths are trimmed, and there is no build ID,
// which depends on them. Go's own resolver and user lookup need no C library.
func (p platform) compile(ctx context.Context, library, folder string, build cli.Build, progress io.Writer) error {
	variables, err := p.toolchain(ctx, progress)
	if err != nil {
		return err
	}
	const stamped = "github.com/metalrank/metalrank/cmd/cli."
	flags := []string{
		"-s", "-w", "-buildid=", "-linkmode=external",
		"-X", stamped + "version=" + build.Version, "-X", stamped + "commit=" + build.Commit, "-X", stamped + "date=" + build.Date,
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-o", folder}
	if p.goos == "linux" {
		flags = append(flags, "-extldflags=-static")
		args = append(args, "-tags=tokenizers,netgo,osusergo")
	} else {
		args = append(args, "-tags=tokenizers")
	}
	args = append(args, "-ldflags="+strings.Join(flags, " "))
	for _, program := range programs {
		args = append(args, "./cmd/"+program)
	}
	if _, err = output(ctx, slices.Concat(variables, p.variables(), []string{"GOFLAGS=", "CGO_LDFLAGS=-L" + library}), "go", args...); err != nil {
		return err
	}
	if p.goos == "darwin" && !p.stubbed() {
		return sign(ctx, folder)
	}
	return nil
}

// sign signs the programs for macOS with the certificate that METALRANK_SIGN names, or ad hoc.
func sign(ctx context.Context, folder string) error {
	args := []string{"--force", "--sign", "-"}
	if certificate := os.Getenv("METALRANK_SIGN"); certificate != "" {
		args = []string{"--force", "--sign", certificate, "--options", "runtime", "--timestamp"} // as notarisation wants it
	}
	for _, program := range programs {
		args = append(args, filepath.Join(folder, program))
	}
	_, err := output(ctx, nil, "codesign", args...)
	return err
}

// output returns the standard output of a program that gets variables besides the environment's.
func output(ctx context.Context, variables []string, name string, args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	command := exec.CommandContext(ctx, name, args...)
	command.Env = append(os.Environ(), variables...)
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args[:min(len(args), 2)], " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, err
}
