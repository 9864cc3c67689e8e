// Package peers installs and starts the runtimes that metalrank is compared with, each as a server on loopback
// (serve.py). It must not know the requests that they get.
package peers

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/metalrank/metalrank/tools/bench/peers/python"
)

//go:embed serve.py requirements-infinity.txt
var files embed.FS

// Names are the peers; README.md describes them.
var Names = []string{"pytorch", "mps", "compiled", "onnx", "mlx", "openvino", "infinity"}

// Device returns the device that a peer runs on here.
func Device(name string) string {
	if name == "mps" || (name == "mlx" && runtime.GOOS == "darwin") {
		return "mps"
	}
	return "cpu"
}

// ErrNotInstalled marks a peer that is not installed. Its text has the command that installs it.
var ErrNotInstalled = errors.New("the peers are not installed: run \"sweep peers install\" first")

// Folder returns the folder that peers are installed in: the cache that tools/bench/peers uses, too.
func Folder() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "metalrank", "peers"), err
}

// environment is a virtual environment of Python.
type environment struct {
	requirements []byte
	about        string
}

func environmentOf(name string) (environment, error) {
	if name == "infinity" {
		list, err := files.ReadFile("requirements-infinity.txt")
		return environment{list, "infinity: some minutes, and 5 GB"}, err
	}
	return environment{python.Requirements, "onnxruntime, OpenVINO, PyTorch and MLX: some minutes, and 5 GB"}, nil
}

// findPython finds an interpreter for which all pinned packages have wheels.
func findPython(ctx context.Context) (program, version string, err error) {
	for _, candidate := range []string{"python3.13", "python3.12", "python3.11", "python3"} {
		out, err := exec.CommandContext(ctx, candidate, "--version").Output()
		if err != nil {
			continue
		}
		for _, good := range []string{"Python 3.11.", "Python 3.12.", "Python 3.13."} {
			if strings.HasPrefix(string(out), good) {
				return candidate, string(out), nil
			}
		}
	}
	return "", "", errors.New("the peers want Python 3.11, 3.12 or 3.13, with venv, in PATH")
}

// folder returns the folder of the environment. `./build.sh bench peers` uses the same name, so that both share it.
func (e environment) folder(version string) (string, error) {
	cache, err := Folder()
	hash := sha256.Sum256([]byte(version + string(e.requirements)))
	return filepath.Join(cache, "venv-"+hex.EncodeToString(hash[:])[:12]), err
}

// Installed returns the interpreter of a peer's environment, or ErrNotInstalled.
func Installed(ctx context.Context, name string) (interpreter string, err error) {
	e, err := environmentOf(name)
	if err != nil {
		return "", err
	}
	_, version, err := findPython(ctx)
	if err != nil {
		return "", err
	}
	folder, err := e.folder(version)
	if err != nil {
		return "", err
	}
	interpreter = filepath.Join(folder, "bin", "python")
	if _, err := os.Stat(interpreter); err != nil {
		return "", ErrNotInstalled
	}
	return interpreter, nil
}

// Install makes the environment of a peer, unless it is there.
func Install(ctx context.Context, name string, progress io.Writer) error {
	if _, err := Installed(ctx, name); !errors.Is(err, ErrNotInstalled) {
		return err
	}
	e, err := environmentOf(name)
	if err != nil {
		return err
	}
	program, version, err := findPython(ctx)
	if err != nil {
		return err
	}
	folder, err := e.folder(version)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "fetching, once, to %s: %s\n", folder, e.about)
	// Made under another name and renamed, so that it is whole or not there.
	work := fmt.Sprintf("%s.%d", folder, os.Getpid())
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	list := filepath.Join(work, "requirements.txt")
	if err := os.WriteFile(list, e.requirements, 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{
		{program, "-m", "venv", work},
		{
			filepath.Join(work, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
			"--only-binary=:all:", "-r", list,
		},
	} {
		command := exec.CommandContext(ctx, args[0], args[1:]...)
		command.Stdout, command.Stderr = progress, progress
		if err := command.Run(); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", strings.Join(args[:4], " "), err), os.RemoveAll(work))
		}
	}
	return os.Rename(work, folder)
}

// Scripts writes serve.py and the peers' modules to a folder of the cache, once for their content.
func Scripts() (string, error) {
	cache, err := Folder()
	if err != nil {
		return "", err
	}
	contents := map[string][]byte{}
	hash := sha256.New()
	for _, from := range []embed.FS{python.Scripts, files} {
		names, err := fs.Glob(from, "*.py")
		if err != nil {
			return "", err
		}
		for _, name := range names {
			if contents[name], err = from.ReadFile(name); err != nil {
				return "", err
			}
			fmt.Fprintf(hash, "%s %d\n%s", name, len(contents[name]), contents[name])
		}
	}
	folder := filepath.Join(cache, "scripts-"+hex.EncodeToString(hash.Sum(nil))[:12])
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(cache, "scripts-")
	if err != nil {
		return "", err
	}
	for name, data := range contents {
		if err := os.WriteFile(filepath.Join(work, name), data, 0o644); err != nil {
			return "", err
		}
	}
	if err := os.Rename(work, folder); err != nil {
		if _, there := os.Stat(folder); there != nil {
			return "", err
		}
		return folder, os.RemoveAll(work) // another process was faster
	}
	return folder, nil
}

// Server is a running peer.
type Server struct {
	Port     int               `json:"port"`
	Device   string            `json:"device"`
	Versions map[string]string `json:"versions"`
	Error    string            `json:"error"`

	process *python.Process
}

// startTimeout bounds loading: PyTorch's first import after it was installed takes a minute.
const startTimeout = 5 * time.Minute

// Start runs the command, which is serve.py's, and waits until it serves. An error has serve.py's own words.
func Start(ctx context.Context, command *exec.Cmd) (*Server, error) {
	process, err := python.Start(command)
	if err != nil {
		return nil, err
	}
	type answer struct {
		server Server
		err    error
	}
	said := make(chan answer, 1)
	go func() {
		var a answer
		a.err = json.NewDecoder(process.Output).Decode(&a.server)
		said <- a
		_, _ = io.Copy(io.Discard, process.Output) // or the peer blocks when the pipe is full
	}()
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case a := <-said:
		a.server.process = process
		switch {
		case a.err == nil && a.server.Error == "":
			return &a.server, nil
		case a.err == nil:
			err = errors.Join(errors.New(a.server.Error), process.Close())
		case errors.Is(a.err, io.EOF), errors.Is(a.err, io.ErrUnexpectedEOF):
			err = process.Explain(errors.New("it ended before it served"))
		default:
			err = process.Explain(fmt.Errorf("it said something else before it served: %w", a.err))
		}
	case <-timer.C:
		err = process.Explain(fmt.Errorf("it doesn't serve after %v", startTimeout))
	case <-ctx.Done():
		err = errors.Join(ctx.Err(), process.Close())
	}
	return nil, err
}

// Close ends the peer, and waits for that.
func (s *Server) Close() error { return s.process.Close() }

// Check returns an error for a name that isn't a peer's.
func Check(name string) error {
	if !slices.Contains(Names, name) {
		return fmt.Errorf("no peer %q: want one of %s", name, strings.Join(Names, ", "))
	}
	return nil
}
