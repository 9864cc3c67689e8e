package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strings"
	"time"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/cmd/metalrank/service"
)

type serviceCommand struct {
	Install   serviceInstallCommand   `cmd:"" help:"Write the service's files, and start it now and at each start of the machine, or login."`
	Uninstall serviceUninstallCommand `cmd:"" help:"Stop the service and remove its files. Logs stay."`
	Status    serviceStatusCommand    `cmd:"" help:"Say how the service is, in the words of launchctl or systemctl. Exit status 1: it doesn't run."`
}

// serviceFlags say whose service it is.
type serviceFlags struct {
	System bool `help:"The machine's service, which needs nobody to log in; as root. Else it is yours." env:"-"`
}

func (f *serviceFlags) service() (*service.Service, error) {
	owner, err := user.Current()
	return &service.Service{User: owner, System: f.System}, err
}

type serviceInstallCommand struct {
	serviceFlags

	User   string   `help:"User that runs the machine's service; it must exist. Default: the one that called sudo." env:"-" placeholder:"NAME"`
	DryRun bool     `help:"Print the file instead of writing it." env:"-"`
	Args   []string `arg:"" optional:"" help:"Flags of metalrank serve, after --: metalrank service install -- --listen=0.0.0.0:8080. Paths must be absolute."`
}

// Validate is called by kong.
func (c *serviceInstallCommand) Validate() error {
	if c.User != "" && !c.System {
		return errors.New("--user: it has no effect without --system")
	}
	return nil
}

// StopTime implements cli.StopTimer: the check of the flags may load a large model.
func (c *serviceInstallCommand) StopTime() time.Duration { return time.Second }

// Run is called by kong.
func (c *serviceInstallCommand) Run(ctx context.Context, std streams) error {
	s, err := c.service()
	if c.System {
		s.User, err = service.Owner(cmp.Or(c.User, os.Getenv("SUDO_USER")))
	}
	if err != nil {
		return err
	}
	if s.Program, err = os.Executable(); err != nil {
		return err
	}
	s.Args = append([]string{"serve"}, c.Args...)
	if s.StopTime, err = checkServe(ctx, s, c.Args); err != nil {
		return err
	}
	if !c.DryRun {
		return s.Install(ctx, runtime.GOOS, std.out, std.err)
	}
	path, content, err := s.File(runtime.GOOS)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.err, "%s:\n", path)
	_, err = std.out.Write(content)
	return err
}

// checkServe has serve --check load everything that flags name, as the service will, and returns the longest time that the server
// takes to stop.
func checkServe(ctx context.Context, s *service.Service, args []string) (stop time.Duration, err error) {
	command, err := s.Command(ctx, append([]string{"serve", "--check"}, args...)...)
	if err != nil {
		return 0, err
	}
	var out, errOut bytes.Buffer
	command.Stdout, command.Stderr = &out, &errOut
	if err := command.Run(); err != nil {
		return 0, fmt.Errorf("these flags don't serve: %w\n%s", err, bytes.TrimSpace(errOut.Bytes()))
	}
	var serve serveCommand
	for lines := bufio.NewScanner(&out); lines.Scan(); {
		for flag, value := range map[string]*time.Duration{"--drain-delay": &serve.DrainDelay, "--drain-timeout": &serve.DrainTimeout} {
			if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == flag {
				if *value, err = time.ParseDuration(fields[1]); err != nil {
					return 0, fmt.Errorf("serve --check: %w", err)
				}
			}
		}
	}
	return serve.StopTime(), nil
}

type serviceUninstallCommand struct{ serviceFlags }

// Run is called by kong.
func (c *serviceUninstallCommand) Run(ctx context.Context, std streams) error {
	s, err := c.service()
	if err != nil {
		return err
	}
	return s.Uninstall(ctx, runtime.GOOS, std.out, std.err)
}

type serviceStatusCommand struct{ serviceFlags }

// Run is called by kong.
func (c *serviceStatusCommand) Run(ctx context.Context, std streams) error {
	s, err := c.service()
	if err != nil {
		return err
	}
	if err := s.Status(ctx, runtime.GOOS, std.out, std.err); err != nil {
		return fmt.Errorf("%w: %w", cli.ErrReported, err) // the system has said it
	}
	return nil
}
