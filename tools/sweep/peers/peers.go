// Package peers installs and starts the runtimes that metalrank is compared with, each as a server on loopback
// (serve.py). It must not know the requests that they get.
package peers

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/metalrank/metalrank/tools/bench/peers/python"
	"github.com/metalrank/metalrank/tools/fetched"
	"github.com/metalrank/metalrank/tools/process"
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

// Folder is where peers are installed: the cache of tools/bench/peers, with which it is shared.
func Folder() (string, error) {
	cache, err := fetched.Cache()
	return filepath.Join(cache, "peers"), err
}

// environmentOf returns the environment that a peer runs in.
func environmentOf(name string) (fetched.Environment, error) {
	if name == "infinity" {
		list, err := files.ReadFile("requirements-infinity.txt")
		return fetched.Environment{Requirements: list, About: "infinity: some minutes, and 5 GB"}, err
	}
	return python.Environment, nil
}

// Installed returns the interpreter of a peer's environment. Errors: fetched.ErrNotInstalled, with the command to run.
func Installed(ctx context.Context, name string) (interpreter string, err error) {
	e, cache, err := environmentAndFolder(name)
	if err != nil {
		return "", err
	}
	if interpreter, err = e.Installed(ctx, cache); errors.Is(err, fetched.ErrNotInstalled) {
		err = fmt.Errorf("the peers are %w: run \"sweep peers install\" first", err)
	}
	return interpreter, err
}

// Install makes the environment of a peer unless it is there, and returns its interpreter.
func Install(ctx context.Context, name string, progress io.Writer) (interpreter string, err error) {
	e, cache, err := environmentAndFolder(name)
	if err != nil {
		return "", err
	}
	return e.Install(ctx, cache, progress)
}

func environmentAndFolder(name string) (e fetched.Environment, cache string, err error) {
	if e, err = environmentOf(name); err != nil {
		return e, "", err
	}
	cache, err = Folder()
	return e, cache, err
}

// Scripts writes serve.py and the peers' modules to a folder of the cache, once for their content.
func Scripts() (string, error) {
	cache, err := Folder()
	if err != nil {
		return "", err
	}
	contents := map[string][]byte{}
	for _, from := range []embed.FS{python.Scripts, files} {
		names, err := fs.Glob(from, "*.py")
		if err != nil {
			return "", err
		}
		for _, name := range names {
			if contents[name], err = from.ReadFile(name); err != nil {
				return "", err
			}
		}
	}
	return fetched.Files(cache, "scripts", contents)
}

// Server is a running peer.
type Server struct {
	Port     int               `json:"port"`
	Device   string            `json:"device"`
	Versions map[string]string `json:"versions"`
	Error    string            `json:"error"`

	process *process.Process
}

// startTimeout bounds loading: PyTorch's first import after it was installed takes a minute.
const startTimeout = 5 * time.Minute

var anyLine = regexp.MustCompile(`.+`)

// Start runs the command, which is serve.py's, and waits until it serves. An error has serve.py's own words.
func Start(ctx context.Context, command *exec.Cmd) (*Server, error) {
	output := process.NewLog(anyLine, nil)
	command.Stdout = output
	p, err := process.Pipe(command)
	if err != nil {
		return nil, err
	}
	line, err := p.Await(ctx, output, startTimeout)
	if err != nil {
		return nil, err
	}
	s := &Server{process: p}
	if err := json.Unmarshal([]byte(line[0]), s); err != nil {
		return nil, p.Explain(fmt.Errorf("it said something else before it served: %w", err))
	}
	if s.Error != "" {
		return nil, errors.Join(errors.New(s.Error), p.Close())
	}
	return s, nil
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
