// Conformance runs the clients that people have, in the versions that its lists pin, against a running server, and
// schemathesis against the server's OpenAPI document; `./build.sh conformance` sets all of that up. The right results
// come from the engine without a server.
//
// It knows how a client is started and reads its report. The client's requests are in clients/.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/tools/system/server"
)

type options struct {
	server       string // the program metalrank
	sources      string // tools/system/conformance
	cohere       string // Python interpreters, each with the packages of its list; "": without those clients
	infinity     string
	frameworks   string
	node         string // a folder with node_modules; "": without Node.js
	schemathesis string // a Python interpreter with it; "": without
	examples     int    // schemathesis' --max-examples
	report       string // where schemathesis' output goes
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.server, "server", "bin/metalrank", "the program to test")
	flags.StringVar(&o.sources, "sources", "tools/system/conformance", "the folder of this program")
	flags.StringVar(&o.cohere, "cohere", "", "Python with clients/requirements-cohere.txt")
	flags.StringVar(&o.infinity, "infinity", "", "Python with clients/requirements-infinity.txt")
	flags.StringVar(&o.frameworks, "frameworks", "", "Python with clients/requirements-frameworks.txt")
	flags.StringVar(&o.node, "node", "", "folder with the node_modules of clients/package.json")
	flags.StringVar(&o.schemathesis, "schemathesis", "", "Python with schemathesis/requirements.txt")
	flags.IntVar(&o.examples, "examples", 100, "cases that schemathesis tries for each operation in its last phase")
	flags.StringVar(&o.report, "report", "", "file for schemathesis' output; none: standard error")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil || flags.NArg() > 0:
		flags.Usage()
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	results, err := conform(ctx, &o, stderr)
	printTable(stdout, results)
	if err != nil {
		fmt.Fprintln(stderr, "conformance:", err)
		return 1
	}
	for i := range results {
		if results[i].Error != nil {
			return 1
		}
	}
	return 0
}

func conform(ctx context.Context, o *options, stderr io.Writer) (results []result, err error) {
	c, model, err := expected(ctx)
	if err != nil {
		return nil, err
	}
	s, err := server.Start(o.server, func(line string) { fmt.Fprintln(stderr, line) }, "--listen", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.End(syscall.SIGTERM)) }()
	env := append(os.Environ(), "BASE=http://"+s.Address, "MODEL="+model, "CASE="+c, "PYTHONDONTWRITEBYTECODE=1",
		"LITELLM_LOCAL_MODEL_COST_MAP=True", "HAYSTACK_TELEMETRY_ENABLED=False", "DO_NOT_TRACK=1")
	for _, g := range o.groups() {
		fmt.Fprintf(stderr, "conformance: %s\n", g.name)
		of, err := g.run(ctx, env, stderr)
		results = append(results, of...)
		if err != nil {
			return results, fmt.Errorf("%s: %w", g.name, err)
		}
	}
	if o.schemathesis != "" {
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
	e, err := engine.Open(ctx, engine.Config{})
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
