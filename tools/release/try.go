package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/tools/system/server"
)

type tryCommand struct {
	Archive []string `arg:"" help:"Archives for Linux."`
}

// Run is called by kong.
func (c *tryCommand) Run(ctx context.Context, std cli.Streams) error {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		return errors.New("try needs Linux, and root for chroot")
	}
	for _, path := range c.Archive {
		if err := tryArchive(ctx, path, std.Out); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// tryArchive unpacks an archive into an empty folder, and runs its programs with that as their root: there is no library, no
// compiler and no /proc. Programs for the other processor run in QEMU.
func tryArchive(ctx context.Context, path string, out io.Writer) (err error) {
	of := slices.IndexFunc(platforms, func(p platform) bool { return p.goos == "linux" && strings.HasSuffix(path, "-"+p.label()+".tar.gz") })
	if of < 0 {
		return errors.New("its name is not that of an archive for Linux")
	}
	root, err := os.MkdirTemp("", "release-root")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	folder, err := unpack(path, root)
	if err != nil {
		return err
	}
	t := trial{root: root, program: "/" + folder + "/bin/metalrank"}
	if platforms[of].goarch != runtime.GOARCH {
		if err := t.emulate(); err != nil {
			return err
		}
	}
	version, err := t.run(ctx, "", "--version")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %s", filepath.Base(path), version)
	ranked, err := t.run(ctx, "The shop opens at nine.\nKettles boil water.\n", "rerank", "-q", "opening hours", "--top-n=1", "--format=tsv")
	if err != nil {
		return err
	}
	if !strings.Contains(ranked, "opens at nine") {
		return fmt.Errorf("rerank has %q at the top", ranked)
	}
	examined, err := t.run(ctx, "", "doctor", "--speed-time=0", "--log=/doctor.log")
	if err != nil {
		return err
	}
	for line := range strings.Lines(examined) {
		if strings.Contains(line, "goldens") || strings.Contains(line, "largest") || strings.Contains(line, "verdict") {
			fmt.Fprint(out, "  ", line)
		}
	}
	if t.emulator != "" { // QEMU can't run a program's successor
		_, err = (&trial{t.root, t.program + "-bulk", t.emulator}).run(ctx, "", "--version")
	} else {
		_, err = t.run(ctx, "", "bulk", "--version")
	}
	if err != nil {
		return err
	}
	if err := t.serve(ctx, out); err != nil || t.emulator != "" {
		return err
	}
	return tryAsUser(ctx, filepath.Join(root, folder), out)
}

// A trial is a root folder, and the program in it.
type trial struct {
	root, program string
	emulator      string // a path in root; "" where this processor runs the program
}

// emulate puts QEMU, a static build of it, into the root.
func (t *trial) emulate() error {
	architecture := map[string]string{"amd64": "aarch64", "arm64": "x86_64"}[runtime.GOARCH]
	path, err := exec.LookPath("qemu-" + architecture + "-static")
	if err != nil {
		return fmt.Errorf("%w (Debian: apt-get install qemu-user-static)", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	t.emulator = "/qemu"
	return os.WriteFile(filepath.Join(t.root, t.emulator), data, 0o755)
}

// command runs the program with an empty environment.
func (t *trial) command(ctx context.Context, args ...string) *exec.Cmd {
	before := []string{t.root}
	if t.emulator != "" {
		before = append(before, t.emulator)
	}
	command := exec.CommandContext(ctx, "chroot", append(append(before, t.program), args...)...)
	command.Env = []string{}
	command.Dir = "/"
	return command
}

func (t *trial) run(ctx context.Context, stdin string, args ...string) (stdout string, err error) {
	var stderr bytes.Buffer
	command := t.command(ctx, args...)
	command.Stdin, command.Stderr = strings.NewReader(stdin), &stderr
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("metalrank %s: %w\n%s", args[0], err, stderr.String())
	}
	return string(out), err
}

// serve starts a server, and asks it.
func (t *trial) serve(ctx context.Context, out io.Writer) (err error) {
	s, err := server.Start(ctx, t.command(ctx, "serve", "--listen=127.0.0.1:0"), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.End(syscall.SIGTERM)) }()
	for _, question := range []struct{ method, path, body, want string }{
		{http.MethodPost, "/rerank", `{"query": "opening hours", "texts": ["Open nine to six.", "The shop sells shoes."]}`, `[{"index":0,`},
		{http.MethodGet, "/info", "", `"commit_date":`},
		{http.MethodGet, "/metrics", "", "metalrank_build_info{"},
	} {
		request, err := http.NewRequestWithContext(ctx, question.method, "http://"+s.Address+question.path, strings.NewReader(question.body))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(answer.Body)
		if err = errors.Join(err, answer.Body.Close()); err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(body), question.want) {
			return fmt.Errorf("%s: %s, %w, %.300s", question.path, answer.Status, err, body)
		}
		if question.path == "/rerank" {
			fmt.Fprintf(out, "  serve      %s\n", body)
		}
	}
	return nil
}

// unpack unpacks one of our archives, and returns the name of the folder that it has everything in.
func unpack(path, into string) (folder string, err error) {
	packed, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer packed.Close()
	plain, err := gzip.NewReader(packed)
	if err != nil {
		return "", err
	}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return folder, nil
		}
		if err != nil {
			return "", err
		}
		if !filepath.IsLocal(header.Name) {
			return "", fmt.Errorf("a file %s", header.Name)
		}
		full := filepath.Join(into, header.Name)
		if header.Typeflag == tar.TypeDir {
			if folder == "" {
				folder = filepath.Clean(header.Name)
			}
			if err := os.MkdirAll(full, 0o755); err != nil {
				return "", err
			}
			continue
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(full, data, header.FileInfo().Mode().Perm()); err != nil {
			return "", err
		}
	}
}
