package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/metalrank/metalrank/internal/outfile"
)

// minCases is the least number of requests that schemathesis must have sent for its verdict to count.
const minCases = 5000

const schemathesisTimeout = 20 * time.Minute

// generated finds the count of requests in the last lines of its output.
var generated = regexp.MustCompile(`(?m)^ *(\d+) generated`)

// runSchemathesis tries requests that fit the OpenAPI document, and ones that don't. All its checks are on: no 5xx, no
// undocumented answer, requests that don't fit are refused, and those that fit are taken.
func runSchemathesis(ctx context.Context, o *options, address string, stderr io.Writer) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, schemathesisTimeout)
	defer cancel()
	interpreter, err := o.environment(ctx, filepath.Join(o.Sources, "schemathesis", "requirements.txt"), "schemathesis", stderr)
	if err != nil {
		return result{}, err
	}
	if o.Report == "" {
		o.Report = filepath.Join(o.cache, "schemathesis.log")
	}
	hooks, err := filepath.Abs(filepath.Join(o.Sources, "schemathesis", "hooks.py"))
	if err != nil {
		return result{}, err
	}
	folder, err := os.MkdirTemp("", "schemathesis") // where it keeps a database of examples
	if err != nil {
		return result{}, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	command := exec.CommandContext(ctx, interpreter, "-m", "schemathesis.cli", "run", address+"/openapi.json", "--phases", "examples,coverage,fuzzing",
		"--max-examples", strconv.Itoa(o.Examples), "--seed", "1", "--continue-on-failure", "--no-color", "--request-timeout", "60")
	command.Env = append(os.Environ(), "SCHEMATHESIS_HOOKS="+hooks, "PYTHONDONTWRITEBYTECODE=1")
	command.Dir, command.WaitDelay = folder, time.Second
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	runErr := command.Run()
	if err := outfile.WriteBytes(o.Report, output.Bytes()); err != nil {
		return result{}, err
	}
	cases := 0
	if match := generated.FindSubmatch(output.Bytes()); match != nil {
		cases, _ = strconv.Atoi(string(match[1])) // digits
	}
	of := result{Client: fmt.Sprintf("schemathesis, %d cases", cases), Package: "schemathesis", Version: schemathesisVersion(output.Bytes())}
	var exit *exec.ExitError
	switch {
	case runErr != nil && !errors.As(runErr, &exit):
		return of, runErr
	case runErr != nil:
		of.fail("it found failures: its output says which")
	case cases < minCases:
		of.fail(fmt.Sprintf("it tried %d cases, want %d", cases, minCases))
	}
	return of, nil
}

func (r *result) fail(why string) { r.Error = &why }

var versionLine = regexp.MustCompile(`(?m)^Schemathesis v(\S+)$`)

func schemathesisVersion(output []byte) string {
	if match := versionLine.FindSubmatch(output); match != nil {
		return string(match[1])
	}
	return "?"
}
