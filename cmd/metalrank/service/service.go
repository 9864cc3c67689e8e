// Package service makes a server a service of the system: an agent or a daemon of launchd on macOS, a unit of systemd on
// Linux. It writes the files, and asks launchctl or systemctl.
//
// It must not know the server: the caller gives its command line.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Service describes a server that the system is to run.
type Service struct {
	Program string   // absolute path
	Args    []string // "serve", and flags
	// User runs the server. The service is the user's, from login on, or, if System, the machine's.
	User   *user.User
	System bool
	// StopTime is how long the server may take to stop.
	StopTime time.Duration
}

// Owner returns the user of that name, for a service of the machine. Errors: no name, or no such user.
func Owner(name string) (*user.User, error) {
	if name == "" {
		return nil, errors.New("a service of the machine needs a user that runs it: name one with --user")
	}
	return user.Lookup(name)
}

// manager is launchd or systemd, for one service.
type manager interface {
	path() string          // of the file that describes the service
	file() ([]byte, error) // its content
	folders() []string     // those that the server writes to, and which the user must own
	start() [][]string     // commands
	stop() [][]string
	status() []string
}

// manager returns that of an operating system, as runtime.GOOS has it.
func (s *Service) manager(system string) (manager, error) {
	switch system {
	case "darwin":
		return launchd{s}, nil
	case "linux":
		return systemd{s}, nil
	}
	return nil, fmt.Errorf("services are for macOS and Linux, this is %s", system)
}

// File returns the file that Install writes on an operating system, as runtime.GOOS has it.
func (s *Service) File(system string) (path string, content []byte, err error) {
	m, err := s.manager(system)
	if err != nil {
		return "", nil, err
	}
	content, err = m.file()
	return m.path(), content, err
}

// Install writes the file and starts the service. An existing service is stopped and replaced. Out and errOut get the output of
// the system's commands.
func (s *Service) Install(ctx context.Context, system string, out, errOut io.Writer) error {
	m, err := s.manager(system)
	if err != nil {
		return err
	}
	content, err := m.file()
	if err != nil {
		return err
	}
	for _, folder := range m.folders() {
		if err := s.own(folder); err != nil {
			return err
		}
	}
	_, err = os.Stat(m.path())
	replaces := err == nil
	if replaces {
		_ = runAll(ctx, m.stop(), io.Discard, io.Discard) // it may not run
		// Others may be able to read the old file. A new one is for its owner alone.
		if err := os.Remove(m.path()); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(m.path()), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(m.path(), content, 0o600); err != nil { // the flags may have a key
		return err
	}
	fmt.Fprintf(errOut, "wrote %s\n", m.path())
	err = runAll(ctx, m.start(), out, errOut)
	for end := time.Now().Add(s.StopTime + stopMargin); err != nil && replaces && ctx.Err() == nil && time.Now().Before(end); {
		time.Sleep(time.Second) // launchd refuses a service whose predecessor has not ended yet
		err = runAll(ctx, m.start(), out, errOut)
	}
	return err
}

// own makes a folder of the user's.
func (s *Service) own(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if os.Getuid() != 0 {
		return nil // it can only be the user's own
	}
	uid, gid, err := s.ids()
	if err != nil {
		return err
	}
	return os.Chown(folder, uid, gid)
}

// ids returns the numbers of the user and of its group.
func (s *Service) ids() (uid, gid int, err error) {
	if uid, err = strconv.Atoi(s.User.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(s.User.Gid)
	return uid, gid, err
}

// Command returns a command of Program that runs as the service does: by its user, in the root folder, without the variables of
// the caller's environment. By root, it would find other files than the service, and leave some that the service can't change.
func (s *Service) Command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	command := exec.CommandContext(ctx, s.Program, args...)
	command.Dir = "/"
	command.Env = []string{"HOME=" + s.User.HomeDir, "USER=" + s.User.Username, "PATH=/usr/bin:/bin:/usr/sbin:/sbin"}
	uid, gid, err := s.ids()
	if err == nil && uid != os.Getuid() {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	return command, err
}

// Uninstall stops the service and removes its file. The folders with logs stay.
func (s *Service) Uninstall(ctx context.Context, system string, out, errOut io.Writer) error {
	m, err := s.manager(system)
	if err != nil {
		return err
	}
	if _, err := os.Stat(m.path()); err != nil {
		return fmt.Errorf("no such service: %w", err)
	}
	stopped := runAll(ctx, m.stop(), out, errOut)
	if err := os.Remove(m.path()); err != nil {
		return errors.Join(stopped, err)
	}
	fmt.Fprintf(errOut, "removed %s\n", m.path())
	return stopped
}

// Status has the system say how the service is. An error says that it does not run.
func (s *Service) Status(ctx context.Context, system string, out, errOut io.Writer) error {
	m, err := s.manager(system)
	if err != nil {
		return err
	}
	return runAll(ctx, [][]string{m.status()}, out, errOut)
}

// runAll runs commands up to the first that fails.
func runAll(ctx context.Context, commands [][]string, out, errOut io.Writer) error {
	for _, c := range commands {
		command := exec.CommandContext(ctx, c[0], c[1:]...)
		command.Stdout, command.Stderr = out, errOut
		if err := command.Run(); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(c, " "), err)
		}
	}
	return nil
}

const (
	// maxOpenFiles is more than the connections that a server accepts by default.
	maxOpenFiles = 16384
	// restartTime is the pause before a server that ended is started again.
	restartTime = 5 * time.Second
	// stopMargin is how much longer than StopTime the system waits before it kills the server.
	stopMargin = 5 * time.Second
)

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
