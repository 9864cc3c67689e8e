package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	gomodule "golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/metalrank/metalrank/cmd/cli"
)

// modulePath is the module's, which go.mod names.
const modulePath = "github.com/metalrank/metalrank"

// goPage has the example of a program that uses the module.
const goPage = "docs/go.md"

type moduleCommand struct{}

// Run is called by kong. It makes a proxy of files for the last commit, and uses it as Go programmers do: a module of their own
// with `go get`, and `go install` of the program. Neither gets anything from this script's environment.
func (c *moduleCommand) Run(ctx context.Context, std cli.Streams) (err error) {
	work, err := os.MkdirTemp("", "release-module")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	version, size, err := writeProxy(ctx, ".", filepath.Join(work, "proxy"))
	if err != nil {
		return err
	}
	fmt.Fprintf(std.Out, "%s@%s: %.1f MB\n", modulePath, version, float64(size)/1e6)
	u, err := newUser(ctx, work)
	if err != nil {
		return err
	}
	if err := u.getAndRun(ctx, version, std); err != nil {
		return fmt.Errorf("go get: %w", err)
	}
	if err := u.install(ctx, version, std); err != nil {
		return fmt.Errorf("go install: %w", err)
	}
	return nil
}

// writeProxy writes the last commit of a repository into a folder that serves as GOPROXY=file://FOLDER
// (https://go.dev/ref/mod#goproxy-protocol). It returns the version, and the size of the module's archive in bytes.
func writeProxy(ctx context.Context, repository, folder string) (version string, size int, err error) {
	out, err := output(ctx, nil, "git", "-C", repository, "log", "-1", "--format=%H %ct")
	if err != nil {
		return "", 0, err
	}
	var (
		commit  string
		seconds int64
	)
	if _, err := fmt.Sscan(string(out), &commit, &seconds); err != nil {
		return "", 0, err
	}
	when := time.Unix(seconds, 0).UTC()
	version = gomodule.PseudoVersion("v0", "", when, commit[:12])
	mod, err := output(ctx, nil, "git", "-C", repository, "show", commit+":go.mod")
	if err != nil {
		return "", 0, err
	}
	info, err := json.Marshal(map[string]any{"Version": version, "Time": when})
	if err != nil {
		return "", 0, err
	}
	var archive bytes.Buffer
	if err := zip.CreateFromVCS(&archive, gomodule.Version{Path: modulePath, Version: version}, repository, commit, ""); err != nil {
		return "", 0, err
	}
	versions := filepath.Join(folder, filepath.FromSlash(modulePath), "@v")
	if err := os.MkdirAll(versions, 0o755); err != nil {
		return "", 0, err
	}
	for name, data := range map[string][]byte{
		"list": []byte(version + "\n"), version + ".info": info, version + ".mod": mod, version + ".zip": archive.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(versions, name), data, 0o644); err != nil {
			return "", 0, err
		}
	}
	return version, archive.Len(), nil
}

// A user has a folder, and nothing of metalrank's: no checkout, no libtokenizers.a.
type user struct {
	folder      string
	environment []string
}

// newUser returns a user whose modules come from folder/proxy, from what is downloaded on this machine, or from its own proxy.
func newUser(ctx context.Context, folder string) (*user, error) {
	out, err := output(ctx, []string{"GOFLAGS="}, "go", "env", "-json", "GOMODCACHE", "GOPROXY", "GOCACHE", "GOSUMDB")
	if err != nil {
		return nil, err
	}
	var had map[string]string
	if err := json.Unmarshal(out, &had); err != nil {
		return nil, err
	}
	downloaded := filepath.Join(had["GOMODCACHE"], "cache", "download")
	u := &user{folder: folder, environment: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "GOENV=off", "GOPATH=" + filepath.Join(folder, "gopath"), "GOCACHE=" + had["GOCACHE"],
		"GOPROXY=file://" + filepath.Join(folder, "proxy") + ",file://" + downloaded + "," + had["GOPROXY"],
		"GOSUMDB=" + had["GOSUMDB"], "GONOSUMDB=" + modulePath, // which knows published versions
		"GOFLAGS=-modcacherw", // so that the folder can be removed
	}}
	return u, os.MkdirAll(filepath.Join(folder, "example"), 0o755)
}

// run runs a command in the user's module, and returns what it prints.
func (u *user) run(ctx context.Context, stdin, name string, args ...string) (string, error) {
	var stderr bytes.Buffer
	command := exec.CommandContext(ctx, name, args...)
	command.Dir, command.Env = filepath.Join(u.folder, "example"), u.environment
	command.Stdin, command.Stderr = strings.NewReader(stdin), &stderr
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, stderr.String())
	}
	return string(out), err
}

// getAndRun makes a module of the example on the page, and runs it.
func (u *user) getAndRun(ctx context.Context, version string, std cli.Streams) error {
	page, err := os.ReadFile(goPage)
	if err != nil {
		return err
	}
	_, program, found := strings.Cut(string(page), "```go\n")
	program, _, ended := strings.Cut(program, "```\n")
	if !found || !ended {
		return fmt.Errorf("%s has no example", goPage)
	}
	if err := os.WriteFile(filepath.Join(u.folder, "example", "main.go"), []byte(program), 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{{"mod", "init", "example.com/example"}, {"get", modulePath + "@" + version}, {"mod", "tidy"}, {"build", "."}} {
		fmt.Fprintf(std.Err, "release: go %s\n", strings.Join(args, " "))
		if _, err := u.run(ctx, "", "go", args...); err != nil {
			return err
		}
	}
	out, err := u.run(ctx, "", filepath.Join(u.folder, "example", "example"))
	if err != nil {
		return err
	}
	fmt.Fprint(std.Out, out)
	if first, _, _ := strings.Cut(out, "\n"); !strings.Contains(first, "vinegar") {
		return fmt.Errorf("the example's first document is %q", first)
	}
	return nil
}

// install installs the program, and runs it with the embedded model, with a checkpoint of BERT's tokenizer and with another one.
func (u *user) install(ctx context.Context, version string, std cli.Streams) error {
	fmt.Fprintln(std.Err, "release: go install")
	if _, err := u.run(ctx, "", "go", "install", modulePath+"/cmd/metalrank@"+version); err != nil {
		return err
	}
	program := filepath.Join(u.folder, "gopath", "bin", "metalrank")
	out, err := u.run(ctx, "", program, "--version")
	if err != nil {
		return err
	}
	fmt.Fprint(std.Out, out)
	if !strings.Contains(out, version) {
		return fmt.Errorf("--version prints %q", out)
	}
	const shop = "Open from nine to six."
	out, err = u.run(ctx, "The shop sells shoes.\n"+shop+"\n", program, "rerank", "--query=opening hours", "--top-n=1", "--format=tsv")
	if err != nil {
		return err
	}
	fmt.Fprint(std.Out, out)
	if !strings.Contains(out, shop) {
		return fmt.Errorf("rerank has %q at the top", out)
	}
	models, err := filepath.Abs("engine/testdata/families")
	if err != nil {
		return err
	}
	if _, err := u.run(ctx, shop, program, "rerank", "--model="+filepath.Join(models, "electra"), "--query=hours"); err != nil {
		return err
	}
	_, err = u.run(ctx, shop, program, "rerank", "--model="+filepath.Join(models, "roberta"), "--query=hours")
	switch {
	case err == nil:
		return errors.New("a model that needs the library is opened without it")
	case !strings.Contains(err.Error(), goPage):
		return fmt.Errorf("a model that needs the library: the error does not name %s: %w", goPage, err)
	}
	fmt.Fprintln(std.Out, "without the library: an ELECTRA checkpoint is opened, a RoBERTa one refused")
	return nil
}
