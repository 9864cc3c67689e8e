package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/tools/sweep/experiments"
	"github.com/metalrank/metalrank/tools/sweep/peers"
	"github.com/metalrank/metalrank/tools/sweep/target"
)

// runCommand holds the command line of run. The record has all fields but those tagged "-"; a resumed run must have the
// same.
type runCommand struct {
	Experiments []string `arg:"" name:"experiment" help:"Names as \"sweep list\" has them, \"all\", or YAML files of your own."`

	Target string `help:"What is measured: ${targets}; of these, peer and embedded take :DTYPE, as in embedded:int8. Default: what each experiment names." placeholder:"NAME"`
	VS     string `name:"vs" help:"Measure this target too, in turns with the first, and print the ratio." placeholder:"NAME"`

	Backend string `help:"Of embedded: ${enum}. sim is for checking, not for speed." enum:"${backends}" default:"auto"`
	Model   string `help:"Checkpoint folder, instead of the experiment's. Default: the embedded model." placeholder:"DIR"`
	DType   string `name:"dtype" help:"Instead of the experiment's: ${dtypes}." enum:"${dtypes}," default:"" placeholder:"TYPE"`
	Threads int    `help:"That a peer may use. Default: one a core." placeholder:"N"`

	URL         string `name:"url" help:"Of http." placeholder:"URL"`
	API         string `name:"api" help:"Dialect of http: ${enum}. auto goes by the URL's path." enum:"${apis}" default:"auto"`
	ServedModel string `help:"Model's name in requests to http, where the server wants one." placeholder:"NAME"`
	APIKey      string `name:"api-key" help:"Of http." env:"SWEEP_API_KEY" json:"-"`

	Data     string        `help:"Pairs: ${sets}, or a file with {\"query\": …, \"documents\": […]} a line. Default: the experiment's." placeholder:"SET"`
	Seed     uint64        `help:"Of the pairs. Default: the experiment's." placeholder:"N"`
	Requests int           `help:"In a cell, instead of the experiment's." placeholder:"N"`
	Limit    time.Duration `help:"Stop a cell after this long, once each client has an answer. Default: never." placeholder:"TIME"`
	Rate     float64       `help:"Open loop: this many requests a second are due, whatever the answers do; concurrency is then how many may be under way. Latency counts from when a request was due." placeholder:"R"`
	Repeats  int           `help:"With --vs: how often each cell is measured with each target. Default: 5, with --quick 3." placeholder:"N"`
	Quick    bool          `help:"A second a cell, short pairs: to try things out. Not to be quoted."`

	Out    string `help:"Folder for the results. Default: sweep-results/TIME." placeholder:"DIR" json:"-"`
	Resume bool   `help:"Go on with the run in --out, or with the newest one, where it was interrupted." json:"-"`
}

const resultsFolder = "sweep-results"

// Run is called by kong.
func (c *runCommand) Run(ctx context.Context, std cli.Streams) (err error) {
	list, err := c.experiments()
	if err != nil {
		return err
	}
	s := &sweep{command: c, std: std, jobs: jobsOf(list)}
	if s.first, s.second, err = c.targets(ctx, list); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.release()) }()
	if err := s.begin(list); err != nil {
		return err
	}
	err = s.measure(ctx)
	s.closeSets()
	if err := errors.Join(err, s.save()); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted; what was measured is in %s: go on with --resume --out %[1]s and the same arguments", c.Out)
		}
		return err
	}
	s.finish()
	return nil
}

// experiments reads the experiments that were named, in that order.
func (c *runCommand) experiments() ([]experiments.Experiment, error) {
	all := experiments.All()
	var list []experiments.Experiment
	for _, name := range c.Experiments {
		if name == "all" {
			list = append(list, all...)
			continue
		}
		if strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
			data, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			e, err := experiments.Read(data)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			list = append(list, e)
			continue
		}
		i := slices.IndexFunc(all, func(e experiments.Experiment) bool { return e.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no experiment %q: \"sweep list\" lists them; one of your own is named by its file, FILE.yaml", name)
		}
		list = append(list, all[i])
	}
	for i := range list {
		c.override(&list[i])
	}
	return list, nil
}

// override replaces fields of the experiment with flags.
func (c *runCommand) override(e *experiments.Experiment) {
	if c.Quick {
		e.Data = "short"
		e.Warmup = new(int)
		*e.Warmup = 1
	}
	if c.Data != "" {
		e.Data = c.Data
	}
	if c.Seed != 0 {
		e.Seed = c.Seed
	}
	if c.Model != "" {
		e.Model = c.Model
	}
	if c.DType != "" {
		e.DType = c.DType
	}
	for i := range e.Grids {
		if c.Requests > 0 {
			e.Grids[i].Requests = c.Requests
		}
	}
}

// role is a target as the command line names it: NAME or NAME:DTYPE; empty: the experiment's own.
type role struct{ name, dtype string }

func parseRole(text string) (role, error) {
	name, dtype, found := strings.Cut(text, ":")
	if name == "peer" { // the experiment's own
		name = ""
	}
	if found && !slices.Contains(experiments.DTypes, dtype) {
		return role{}, fmt.Errorf("%q: no dtype %q: want one of %s", text, dtype, strings.Join(experiments.DTypes, ", "))
	}
	if name == "" {
		return role{"", dtype}, nil
	}
	return role{name, dtype}, target.Check(name)
}

// targets parses the roles, and makes the checks that are possible before hours of measuring.
func (c *runCommand) targets(ctx context.Context, list []experiments.Experiment) (first role, second *role, err error) {
	if first, err = parseRole(c.Target); err != nil {
		return first, nil, fmt.Errorf("--target: %w", err)
	}
	roles := []role{first}
	if c.VS != "" {
		r, err := parseRole(c.VS)
		if err != nil {
			return first, nil, fmt.Errorf("--vs: %w", err)
		}
		second = &r
		roles = append(roles, r)
	}
	if c.Threads == 0 {
		c.Threads = runtime.NumCPU()
	}
	if c.Repeats == 0 {
		c.Repeats = 5
		if c.Quick {
			c.Repeats = 3
		}
	}
	if c.Repeats < 2 || c.Repeats > 1000 {
		return first, nil, fmt.Errorf("--repeats is %d, want 2 to 1000: an interval needs two", c.Repeats)
	}
	if c.Rate < 0 || c.Requests < 0 || c.Limit < 0 || c.Threads < 0 {
		return first, nil, errors.New("--rate, --requests, --limit and --threads can't be negative")
	}
	if c.Quick && c.Limit == 0 {
		c.Limit = quickLimit
	}
	checked := map[string]bool{}
	for _, r := range roles {
		for _, e := range list {
			o := c.options(r, &e)
			if checked[o.Name] {
				continue
			}
			checked[o.Name] = true
			if err := target.Check(o.Name); err != nil {
				return first, nil, fmt.Errorf("%s: target: %w", e.Name, err)
			}
			if o.Name == record.HTTP {
				if _, err := target.ParseURL(c.URL); err != nil {
					return first, nil, fmt.Errorf("http wants --url: %w", err)
				}
			}
			if slices.Contains(peers.Names, o.Name) {
				if _, err := peers.Installed(ctx, o.Name); err != nil {
					return first, nil, fmt.Errorf("%s: %w", o.Name, err)
				}
			}
		}
	}
	return first, second, nil
}

// quickLimit is the time of a cell with --quick, and quickRequests its greatest number of requests for each client.
const (
	quickLimit    = 700 * time.Millisecond
	quickRequests = 8
)

// options returns the options that open a role for an experiment.
func (c *runCommand) options(r role, e *experiments.Experiment) target.Options {
	o := target.Options{
		Name: e.Target, Backend: c.Backend, Model: e.Model, DType: e.DType, MaxLength: e.MaxLength, Instances: e.Instances,
		Threads: c.Threads, URL: c.URL, API: c.API, Key: c.APIKey, ServedModel: c.ServedModel,
	}
	if r.name != "" {
		o.Name = r.name
	}
	if r.dtype != "" {
		o.DType = r.dtype
	}
	return o
}

// resumeKey returns the flags, and a hash of the experiments, which must be the same when a run is resumed.
func (c *runCommand) resumeKey(list []experiments.Experiment) ([]string, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	fields := map[string]any{}
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	of, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	key := []string{fmt.Sprintf("experiments=sha256:%x", sha256.Sum256(of))}
	for name, value := range fields {
		key = append(key, fmt.Sprintf("%s=%v", name, value))
	}
	slices.Sort(key)
	return key, nil
}

// newest returns the folder of the newest run.
func newest() (string, error) {
	runs, err := filepath.Glob(filepath.Join(resultsFolder, "*", recordFile))
	if err != nil || len(runs) == 0 {
		return "", fmt.Errorf("no run below %s; name one's folder", resultsFolder)
	}
	slices.Sort(runs)
	return filepath.Dir(runs[len(runs)-1]), nil
}
