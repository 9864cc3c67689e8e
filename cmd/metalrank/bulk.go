package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

type bulkCommand struct {
	Args []string `arg:"" optional:"" help:"serve, submit, work, collect, status or remove, and their flags; \"metalrank bulk --help\" says more."`
}

// bulkProgram is run by bulk, found beside this program or in PATH. It is a program of its own for its size (RATIONALE.md).
const bulkProgram = "metalrank-bulk"

// Run is called by kong. It only returns an error: the other program replaces this one in its process, so that signals and
// the exit status are its own.
func (c *bulkCommand) Run() error { return runBulk(c.Args) }

// Complete implements cli.Completer.
func (c *bulkCommand) Complete(shell string, words []string) error {
	return runBulk(append([]string{"completion", shell, "--"}, words...))
}

func runBulk(args []string) error {
	path, err := findBulk()
	if err != nil {
		return err
	}
	err = syscall.Exec(path, append([]string{bulkProgram}, args...), os.Environ())
	return fmt.Errorf("%s: %w", path, err)
}

func findBulk() (string, error) {
	own, err := os.Executable()
	if err != nil { // on Linux it needs /proc, which a chroot may lack
		own, err = exec.LookPath(os.Args[0])
	}
	if err == nil {
		own, err = filepath.EvalSymlinks(own)
	}
	if err != nil {
		return "", err
	}
	beside := filepath.Join(filepath.Dir(own), bulkProgram)
	if _, err := os.Stat(beside); !errors.Is(err, fs.ErrNotExist) {
		return beside, err
	}
	path, err := exec.LookPath(bulkProgram)
	if err != nil {
		return "", fmt.Errorf("bulk is a program of its own, %s, which is neither in %s nor in PATH: install it there (\"./build.sh build\" makes both)",
			bulkProgram, filepath.Dir(own))
	}
	return path, nil
}
