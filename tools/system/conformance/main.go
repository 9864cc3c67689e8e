// Conformance runs the clients that people have, in the versions that its lists pin, against a running server, and
// schemathesis against the server's OpenAPI document; `./build.sh conformance` runs it. Right results are
// those that the engine gives without a server.
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
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/tools/fetched"
	"github.com/metalrank/metalrank/tools/system/server"
	"github.com/metalrank/metalrank/weights/builtin"
)

type options struct {
	server       string // the program metalrank
	sources      string // tools/system/conformance
	clients      bool   // run the clients
	schemathesis bool   // run schemathesis
	examples     int    // schemathesis' --max-examples
	report       string // where schemathesis' output goes
	cache        string // folder of the environments
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.server, "server", "bin/metalrank", "the program to test")
	flags.StringVar(&o.sources, "sources", "tools/system/conformance", "the folder of this program")
	flags.IntVar(&o.examples, "examples", 100, "cases that schemathesis tries for each operation in its last phase")
	flags.StringVar(&o.report, "report", "", "file for schemathesis' output; one in the cache folder without it")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: conformance [FLAGS] [clients | schemathesis]")
		flags.PrintDefaults()
	}
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	only := flags.Arg(0)
	if err != nil || flags.NArg() > 1 || (only != "" && only != "clients" && only != "schemathesis") {
		if err == nil {
			flags.Usage()
		}
		return 2
	}
	o.clients, o.schemathesis = only != "schemathesis", only != "clients"
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
	command := exec.Command(o.server, "serve", "--listen", "127.0.0.1:0") //nolint:noctx // it is ended by a signal
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
	if o.schemathesis {
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
