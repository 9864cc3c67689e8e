package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/metalrank/metalrank/tools/process"
)

const (
	servePort, agentPort = "8080", "8081"
	front                = "http://127.0.0.1:8080" // HAProxy's
	stats                = "http://127.0.0.1:8404/;csv"
	startTimeout         = 15 * time.Second
)

// start starts a program, which ends when this one does.
func start(o *options, stderr io.Writer, name string, args ...string) (*process.Process, error) {
	command := exec.Command(name, args...) //nolint:noctx // it is ended by signals
	command.SysProcAttr = killWithParent()
	return process.Start(command, process.NewLog(nil, func(line string) bool {
		if o.Verbose {
			fmt.Fprintln(stderr, line)
		}
		return true
	}))
}

// startNode starts node i with a model, in its namespace.
func startNode(o *options, stderr io.Writer, i int, model string) (*process.Process, error) {
	return start(o, stderr, "ip", "netns", "exec", namespace(i), o.Node, "--model", model,
		"-listen", net.JoinHostPort(address(i), servePort), "-agent-listen", net.JoinHostPort(address(i), agentPort))
}

// startHAProxy has metalrank write the configuration for so many nodes, has HAProxy check it, and starts HAProxy.
func startHAProxy(ctx context.Context, o *options, stderr io.Writer, folder string, count int) (*process.Process, error) {
	var list strings.Builder
	list.WriteString("slow_start: 2s\nnodes:\n")
	for i := 1; i <= count; i++ {
		fmt.Fprintf(&list, "  - {name: node-%d, address: '%s:%s', agent: '%s:%s'}\n", i, address(i), servePort, address(i), agentPort)
	}
	file, config := filepath.Join(folder, "nodes.yaml"), filepath.Join(folder, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(list.String()), 0o600); err != nil {
		return nil, err
	}
	for _, command := range [][]string{
		{o.Metalrank, "fleet", "haproxy", file, "--output", config},
		{o.Haproxy, "-c", "-f", config},
	} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%v: %w: %s", command, err, out)
		}
	}
	p, err := start(o, stderr, o.Haproxy, "-f", config)
	if err != nil {
		return nil, err
	}
	for i := 1; i <= count; i++ {
		if err := waitUp(ctx, i); err != nil {
			return nil, p.Explain(err)
		}
	}
	return p, nil
}

// waitUp waits until HAProxy sends requests to node i.
func waitUp(ctx context.Context, i int) error {
	name := fmt.Sprintf("nodes,node-%d,", i)
	for begin := time.Now(); time.Since(begin) < startTimeout; time.Sleep(50 * time.Millisecond) {
		text, err := get(ctx, stats)
		if err != nil {
			continue // not yet
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, name) && strings.Contains(line, ",UP,") && strings.Contains(line, "L7OK") {
				return nil
			}
		}
	}
	return fmt.Errorf("HAProxy does not call node %d up after %v", i, startTimeout)
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}
