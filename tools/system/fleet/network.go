package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	nodes  = 3
	bridge = "mrbridge"
)

// prefix begins the names of this run's namespaces: two may run at once. The namespace of HAProxy and the clients is named
// so itself.
func prefix() string { return os.Getenv("METALRANK_FLEET_NAMESPACE") }

// namespace is the name of node i's namespace; i counts from 1. veth is the end of its cable at the bridge, and address
// its IP address.
func namespace(i int) string { return fmt.Sprintf("%s-%d", prefix(), i) }
func veth(i int) string      { return fmt.Sprintf("mrcable%d", i) }
func address(i int) string   { return fmt.Sprintf("10.77.0.%d", i) }

// outside makes the namespaces, runs this program again within the first, and takes them away.
func outside(ctx context.Context, stdout, stderr io.Writer) (err error) {
	if err := os.Setenv("METALRANK_FLEET_NAMESPACE", fmt.Sprintf("metalrank%d", os.Getpid())); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tearDown(context.WithoutCancel(ctx))) }()
	if err := setUp(ctx); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	inside := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", prefix(), self, "--inside"}, os.Args[1:]...)...)
	inside.Stdout, inside.Stderr = stdout, stderr
	inside.Cancel = func() error { return inside.Process.Signal(os.Interrupt) }
	inside.WaitDelay = 10 * time.Second
	return inside.Run()
}

// setUp makes a bridge, and a namespace at the end of a cable for each node.
func setUp(ctx context.Context) error {
	commands := []string{
		"netns add " + prefix(),
		"-n " + prefix() + " link set lo up",
		"-n " + prefix() + " link add " + bridge + " type bridge",
		"-n " + prefix() + " addr add 10.77.0.254/24 dev " + bridge,
		"-n " + prefix() + " link set " + bridge + " up",
	}
	for i := 1; i <= nodes; i++ {
		commands = append(commands,
			"netns add "+namespace(i),
			"-n "+prefix()+" link add "+veth(i)+" type veth peer name eth0 netns "+namespace(i),
			"-n "+prefix()+" link set "+veth(i)+" master "+bridge+" up",
			"-n "+namespace(i)+" addr add "+address(i)+"/24 dev eth0",
			"-n "+namespace(i)+" link set eth0 up",
			"-n "+namespace(i)+" link set lo up",
		)
	}
	for _, command := range commands {
		if err := ip(ctx, command); err != nil {
			return err
		}
	}
	return nil
}

func tearDown(ctx context.Context) error {
	var errs []error
	for i := 1; i <= nodes; i++ {
		errs = append(errs, ip(ctx, "netns delete "+namespace(i)))
	}
	return errors.Join(append(errs, ip(ctx, "netns delete "+prefix()))...)
}

// ip runs the program ip, with words.
func ip(ctx context.Context, words string) error {
	if out, err := exec.CommandContext(ctx, "ip", strings.Fields(words)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", words, err, out)
	}
	return nil
}

// cable sets a node's link up or down, from within the first namespace.
func cable(ctx context.Context, i int, state string) error {
	return ip(ctx, "link set "+veth(i)+" "+state)
}
