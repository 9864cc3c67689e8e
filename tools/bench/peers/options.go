package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/metalrank/metalrank/tools/bench/peers/workload"
)

// options are the settings of the command line.
type options struct {
	systems     []peerName
	workloads   []string
	requests    int // of each workload at most; 0: all
	rounds      int
	limit       time.Duration // of one run
	warmUp      time.Duration // of the run that scores are compared by
	microTokens []int
	threads     int
	seed        uint64
	backend     string // engine.Config.Backend
	lock        string
	out         string

	python, engine, model, cache string // set up where they are empty
}

const usage = `usage: ./build.sh bench peers [FLAGS]

Scores the same pairs with the same checkpoint through other runtimes and through metalrank, and compares scores and
speed (tools/bench/peers/README.md). Writes report.md, report.json and the requests to the folder -out; prints report.md.

`

func parseOptions(args []string, errOut io.Writer) (options, error) {
	o := options{limit: 4 * time.Second, warmUp: 20 * time.Second}
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.Usage = func() {
		fmt.Fprint(errOut, usage)
		flags.PrintDefaults()
	}
	quick := flags.Bool("quick", false, "a few minutes: few systems and rounds, micro-batches not tuned")
	systems := flags.String("systems", "", "`PEER/PRECISION,…` instead of all")
	workloads := flags.String("workloads", "equal,msmarco,mixed,short,latency", "`NAMES`")
	micro := flags.String("micro", "256,512,1024,2048", "`TOKENS,…` of a micro-batch, of which tuned peers take the fastest")
	flags.IntVar(&o.rounds, "rounds", 5, "runs of each system over each workload")
	flags.IntVar(&o.threads, "threads", 2, "threads of each system")
	flags.Uint64Var(&o.seed, "seed", 1, "of the requests")
	flags.StringVar(&o.backend, "backend", "auto", "metalrank's backend")
	flags.StringVar(&o.lock, "lock", "", "`FILE` to lock (flock) during each round, for others who share the machine")
	flags.StringVar(&o.out, "out", "", "`FOLDER` for the results; one below the temporary folder without it")
	flags.StringVar(&o.python, "python", "", "interpreter that has python/requirements.txt; made in the cache folder without it")
	flags.StringVar(&o.engine, "engine", "", "program of the engine's worker; built without it")
	flags.StringVar(&o.model, "model", "", "checkpoint `FOLDER`; the embedded model without it")
	flags.StringVar(&o.cache, "cache", "", "`FOLDER` for converted models; one in the cache folder without it")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	set := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if *quick {
		o.limit, o.warmUp, o.requests = time.Second, 3*time.Second, 1
		if !set["rounds"] {
			o.rounds = 3
		}
		if !set["micro"] {
			*micro = "512"
		}
	}
	switch {
	case *systems != "":
	case *quick:
		*systems = quickSystems
	default:
		*systems = allSystems
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, o.complete(*systems, *workloads, *micro)
}

func (o *options) complete(systems, workloads, micro string) error {
	var err error
	if o.systems, err = parseSystems(systems); err != nil {
		return fmt.Errorf("-systems: %w", err)
	}
	if o.workloads, err = parseWorkloads(workloads); err != nil {
		return fmt.Errorf("-workloads: %w", err)
	}
	for item := range strings.SplitSeq(micro, ",") {
		tokens, err := strconv.Atoi(item)
		if err != nil || tokens < 1 {
			return fmt.Errorf("-micro: %q is not a number of tokens", item)
		}
		o.microTokens = append(o.microTokens, tokens)
	}
	if o.rounds < 1 || o.threads < 1 {
		return errors.New("-rounds and -threads must be at least 1")
	}
	return nil
}

func parseWorkloads(list string) ([]string, error) {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		known := slices.ContainsFunc(workload.Specs(), func(s workload.Spec) bool { return s.Name == name })
		if !known || name == workload.Calibration || slices.Contains(names, name) {
			return nil, fmt.Errorf("no workload %q, or named twice", name)
		}
		names = append(names, name)
	}
	return names, nil
}
