package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// result is a client's report: a line of JSON.
type result struct {
	Client  string  `json:"client"`
	Package string  `json:"package"`
	Version string  `json:"version"`
	Error   *string `json:"error"` // nil: all was right
}

// group is a program that runs some clients.
type group struct {
	name    string
	command []string
	folder  string
}

// groupTimeout bounds one group; the largest takes half a minute.
const groupTimeout = 5 * time.Minute

// groups returns the groups with an interpreter among the options.
func (o *options) groups() []group {
	script := func(name string) string { return filepath.Join(o.sources, "clients", name) }
	var groups []group
	if o.cohere != "" {
		groups = append(groups, group{"cohere, the newest", []string{o.cohere, script("cohere_own.py")}, ""})
	}
	if o.infinity != "" {
		groups = append(groups, group{"Infinity", []string{o.infinity, script("infinity.py")}, ""})
	}
	if o.frameworks != "" {
		groups = append(groups,
			group{"cohere, as LangChain and LlamaIndex want it", []string{o.frameworks, script("cohere_own.py")}, ""},
			group{"frameworks", []string{o.frameworks, script("frameworks.py")}, ""})
	}
	if o.node != "" {
		groups = append(groups, group{"Node.js", []string{"node", "clients.mjs"}, o.node})
	}
	return groups
}

// run returns the clients' reports. A client that fails is no error; a program without any report is one.
func (g *group) run(ctx context.Context, env []string, stderr io.Writer) ([]result, error) {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, g.command[0], g.command[1:]...)
	command.Env, command.Dir, command.WaitDelay = env, g.folder, time.Second
	var stdout, log bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &log
	runErr := command.Run()
	results, err := parseResults(&stdout)
	if err == nil && len(results) == 0 {
		err = errors.New("no client reported anything")
	}
	var exit *exec.ExitError
	if err == nil && runErr != nil && (!errors.As(runErr, &exit) || exit.ExitCode() != 1) {
		err = runErr
	}
	if err != nil {
		_, _ = log.WriteTo(stderr)
	}
	return results, err
}

// parseResults reads lines of JSON; it skips lines that libraries print.
func parseResults(r io.Reader) ([]result, error) {
	var results []result
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), `{"client"`) {
			continue
		}
		var one result
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return results, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		results = append(results, one)
	}
	return results, lines.Err()
}
