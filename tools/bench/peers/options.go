package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/metalrank/metalrank/tools/bench/peers/workload"
)

// options are the settings of the command line.
type options struct {
	Quick     bool   `help:"A few minutes: few systems and rounds, micro-batches not tuned."`
	Systems   string `help:"Instead of all." placeholder:"PEER/PRECISION,…"`
	Workloads string `help:"Workloads." default:"equal,msmarco,mixed,short,latency" placeholder:"NAMES"`
	Micro     []int  `help:"Tokens of a micro-batch, of which tuned peers take the fastest. Default: 256,512,1024,2048; with --quick 512." placeholder:"N"`
	Rounds    int    `help:"Runs of each system over each workload. Default: 5; with --quick 3." placeholder:"N"`
	Threads   int    `help:"Threads of each system." default:"2"`
	Seed      uint64 `help:"Of the requests." default:"1"`
	Backend   string `help:"metalrank's backend." default:"auto"`
	Out       string `help:"Folder for the results. Default: one below the temporary folder." placeholder:"FOLDER"`
	Python    string `help:"Interpreter that has python/requirements.txt. Default: made in the cache folder."`
	Engine    string `help:"Program of the engine's worker. Default: built."`
	Model     string `help:"Checkpoint. Default: the embedded model." placeholder:"FOLDER"`
	Cache     string `help:"Folder for converted models. Default: one in the cache folder." placeholder:"FOLDER"`
	Shapes    string `help:"Instead of one model, random weights of these shapes: modernbert-base, bge-v2-m3, qwen3-0.6b, each perhaps with :LAYERS." placeholder:"NAMES"`
	Minutes   int    `help:"With --shapes: bound of all measurements; rounds end there. Default: 12." placeholder:"N"`
	Prepare   bool   `help:"With --shapes: only make and convert the checkpoints, which takes minutes the first time."`

	shapes    []shape
	samples   int       // texts that int8 is calibrated with; 0: the script's number
	until     time.Time // when rounds end; zero: after Rounds
	systems   []peerName
	workloads []string
	requests  int           // of each workload at most; 0: all
	limit     time.Duration // of one run
	warmUp    time.Duration // of the run that scores are compared by
}

const (
	defaultWorkloads = "equal,msmarco,mixed,short,latency"
	shapeWorkloads   = workload.Few + "," + workload.Long + "," + workload.FewMixed
)

const description = `Scores the same pairs with the same checkpoint through other runtimes and through metalrank, and compares scores and ` +
	`speed (tools/bench/peers/README.md). Writes report.md, report.json and the requests to the folder --out; prints report.md.`

// Validate is called by kong. It fills in defaults.
func (o *options) Validate() (err error) {
	o.limit, o.warmUp = 4*time.Second, 20*time.Second
	systems, micro, rounds := allSystems, []int{256, 512, 1024, 2048}, 5
	if o.Quick {
		o.limit, o.warmUp, o.requests = time.Second, 3*time.Second, 1
		systems, micro, rounds = quickSystems, []int{512}, 3
	}
	if o.shapes, err = parseShapes(o.Shapes); err != nil {
		return fmt.Errorf("--shapes: %w", err)
	}
	if o.Shapes != "" {
		systems, rounds, o.samples = shapeSystems, 9, 8
		o.Minutes = cmp.Or(o.Minutes, 12)
		if o.Workloads == defaultWorkloads {
			o.Workloads = shapeWorkloads
		}
	} else if o.Minutes != 0 || o.Prepare {
		return errors.New("--minutes and --prepare are for --shapes")
	}
	o.Rounds = cmp.Or(o.Rounds, rounds)
	if o.Micro == nil {
		o.Micro = micro
	}
	if o.systems, err = parseSystems(cmp.Or(o.Systems, systems)); err != nil {
		return fmt.Errorf("--systems: %w", err)
	}
	if o.workloads, err = parseWorkloads(o.Workloads); err != nil {
		return fmt.Errorf("--workloads: %w", err)
	}
	if o.Rounds < 1 || o.Minutes < 0 || o.Threads < 1 || slices.Min(o.Micro) < 1 {
		return errors.New("--rounds, --minutes, --threads and --micro must be at least 1")
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
