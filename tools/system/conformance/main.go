// Conformance runs the clients that people have, in the versions that its lists pin, against a running server, and
// schemathesis against the server's OpenAPI document; `./build.sh conformance` runs it. Right results are
// those that the engine gives without a server.
//
// It knows how a client is started and reads its report. The client's requests are in clients/.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/tools/fetched"
	"github.com/metalrank/metalrank/tools/system/server"
	"github.com/metalrank/metalrank/weights/builtin"
)

type options struct {
	Server   string `help:"The program to test." default:"bin/metalrank"`
	Sources  string `help:"The folder of this program." default:"tools/system/conformance"`
	Examples int    `help:"Cases that schemathesis tries for each operation in its last phase." default:"100"`
	Report   string `help:"File for schemathesis' output. Default: one in the cache folder." placeholder:"FILE"`
	Only     string `arg:"" optional:"" default:"all" enum:"all,clients,schemathesis" help:"Run ${enum}."`

	cache string // folder of the environments
}

func main() {
	cli.Program{
		Name: "conformance", Description: "Runs real clients and schemathesis against a server.", Grammar: &options{},
	}.Main()
}

// StopTime implements cli.StopTimer: the server is given time to end.
func (o *options) StopTime() time.Duration { return time.Minute }

// Run is called by cli.Run.
func (o *options) Run(ctx context.Context, std cli.Streams) error {
	results, err := conform(ctx, o, std.Err)
	printTable(std.Out, results)
	if err != nil {
		return err
	}
	failed := 0
	for i := range results {
		if results[i].Error != nil {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d failed", failed, len(results))
	}
	return nil
}

func conform(ctx context.Context, o *options, stderr io.Writer) (results []result, err error) {
	cache, err := fetched.Cache()
	if err != nil {
		return nil, err
	}
	o.cache = filepath.Join(cache, "conformance")
	groups, err := o.groups(ctx, stderr)
	if err != nil {
		return nil, err
	}
	c, model, err := expected(ctx)
	if err != nil {
		return nil, err
	}
	command := exec.Command(o.Server, "serve", "--listen", "127.0.0.1:0") //nolint:noctx // it is ended by a signal
	s, err := server.Start(ctx, command, func(line string) { fmt.Fprintln(stderr, line) })
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.End(syscall.SIGTERM)) }()
	env := append(os.Environ(), "BASE=http://"+s.Address, "MODEL="+model, "CASE="+c, "PYTHONDONTWRITEBYTECODE=1",
		"LITELLM_LOCAL_MODEL_COST_MAP=True", "HAYSTACK_TELEMETRY_ENABLED=False", "DO_NOT_TRACK=1")
	for _, g := range groups {
		fmt.Fprintf(stderr, "conformance: %s\n", g.name)
		of, err := g.run(ctx, env, stderr)
		results = append(results, of...)
		if err != nil {
			return results, fmt.Errorf("%s: %w", g.name, err)
		}
	}
	if o.Only != "clients" {
		fmt.Fprintln(stderr, "conformance: schemathesis, some minutes")
		of, err := runSchemathesis(ctx, o, "http://"+s.Address, stderr)
		if err != nil {
			return results, err
		}
		results = append(results, of)
	}
	return results, nil
}

// expected returns the case that all clients run, as JSON, and the name of the embedded model.
func expected(ctx context.Context) (encoded, model string, err error) {
	e, err := engine.Open(ctx, engine.Config{Embedded: builtin.Open})
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	ranking, err := e.Rerank(ctx, query, documents, engine.Options{})
	if err != nil {
		return "", "", err
	}
	encoded, err = encodeCase(ranking)
	return encoded, e.Info().Model, err
}

// printTable prints a row for each client, and below the table the errors.
func printTable(w io.Writer, results []result) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "client\tpackage\tversion\tresult")
	right := 0
	for i := range results {
		r := &results[i]
		verdict := "right"
		if r.Error != nil {
			verdict = "WRONG"
		} else {
			right++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.Client, r.Package, r.Version, verdict)
	}
	_ = table.Flush() // to a terminal or a buffer, as fmt.Fprint
	for i := range results {
		if r := &results[i]; r.Error != nil {
			fmt.Fprintf(w, "\n%s:\n    %s\n", r.Client, strings.ReplaceAll(strings.TrimSpace(*r.Error), "\n", "\n    "))
		}
	}
	fmt.Fprintf(w, "\n%d of %d right\n", right, len(results))
}
