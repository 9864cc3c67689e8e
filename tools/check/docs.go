package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/metalrank/metalrank/tools/system/server"
)

// docs runs the commands in the fenced blocks of README.md and docs/, each block as one script in the root of the repository,
// and wants every link between files of the repository to lead somewhere.
//
// A block of kind "sh" or "bash" is a script; in a block of kind "console" the lines behind "$ " are. A command that serves is
// started in the background, and stopped at the end of its file. A block whose kind is followed by the word norun is not run: it
// needs a Mac, a fleet, the network, or a model of the reader's.
func (c *checker) docs(out io.Writer) error {
	files, err := c.files("README.md", "CONTRIBUTING.md", "RATIONALE.md", "docs/*.md", "tools/*README.md", "weights/*README.md")
	if err != nil {
		return err
	}
	wrong := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, problem := range brokenLinks(file, string(data)) {
			fmt.Fprintf(out, "%s: %s\n", file, problem)
			wrong++
		}
		if !strings.HasPrefix(file, "docs/") && file != "README.md" {
			continue
		}
		if err := c.runBlocks(out, file, string(data)); err != nil {
			fmt.Fprintln(out, err)
			wrong++
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d problems", wrong)
	}
	return nil
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)

// brokenLinks returns a line for each relative link of a Markdown file that leads to no file.
func brokenLinks(file, text string) []string {
	var problems []string
	for _, match := range link.FindAllStringSubmatch(text, -1) {
		if strings.Contains(match[1], "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(file), filepath.FromSlash(match[1]))); err != nil {
			problems = append(problems, fmt.Sprintf("a link to %s, which is not there", match[1]))
		}
	}
	return problems
}

// block is the commands of a fenced block.
type block struct {
	line     int // of its first line
	commands []string
}

// blocks returns those of a Markdown file that are to be run.
func blocks(text string) []block {
	var all []block
	var b block
	var kind []string // of the block that is open; nil: none is
	for n, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "```") && kind == nil:
			kind = append(strings.Fields(line[3:]), "")
			b = block{line: n + 2}
		case strings.HasPrefix(line, "```"):
			if len(b.commands) > 0 && kind[1] != "norun" {
				all = append(all, b)
			}
			kind = nil
		case kind == nil || line == "":
		case kind[0] == "sh" || kind[0] == "bash":
			if last := len(b.commands) - 1; last >= 0 && strings.HasSuffix(b.commands[last], "\\") {
				b.commands[last] += "\n" + line
			} else {
				b.commands = append(b.commands, line)
			}
		case kind[0] == "console" && strings.HasPrefix(line, "$ "):
			b.commands = append(b.commands, line[2:])
		}
	}
	return all
}

// serving tells that a command goes on until it is stopped.
var serving = regexp.MustCompile(`^(bin/metalrank|metalrank|\./build\.sh) serve\b`)

// blockTimeout bounds one block.
const blockTimeout = 10 * time.Minute

// runBlocks returns an error for the first command that fails.
func (c *checker) runBlocks(out io.Writer, file, text string) (err error) {
	var servers []*server.Server
	defer func() {
		for _, s := range servers {
			err = errors.Join(err, s.End(syscall.SIGTERM))
		}
	}()
	for _, b := range blocks(text) {
		var script []string
		for _, command := range b.commands {
			if !serving.MatchString(command) {
				script = append(script, command)
				continue
			}
			s, err := server.Start(c.ctx, exec.CommandContext(c.ctx, "bash", "-c", "exec "+command), nil)
			if err != nil {
				return fmt.Errorf("%s:%d: %w", file, b.line, err)
			}
			servers = append(servers, s)
		}
		ctx, cancel := context.WithTimeout(c.ctx, blockTimeout)
		run := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", strings.Join(script, "\n"))
		output, err := run.CombinedOutput()
		cancel()
		if err != nil {
			fmt.Fprintf(out, "%s", output)
			return fmt.Errorf("%s:%d: %w", file, b.line, err)
		}
	}
	return nil
}
