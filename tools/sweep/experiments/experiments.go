// Package experiments reads the experiments of a sweep: YAML files with a system and grids of batch sizes and clients.
// The study's own are embedded; Read parses a user's. The package must not know how anything is measured.
package experiments

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

//go:embed *.yaml
var files embed.FS

// Experiment is one YAML file. Unknown keys are errors; missing ones take the default.
type Experiment struct {
	Name string `yaml:"name"`
	// Target is the system that the experiment is about, as --target names it.
	Target    string `yaml:"target"`
	Model     string `yaml:"model"`      // checkpoint folder. Default: the embedded model
	DType     string `yaml:"dtype"`      // one of DTypes. Default: fp32
	MaxLength int    `yaml:"max_length"` // tokens of a pair. Default: 512. Bounds: 8 to 8192
	// BatchSizes (documents a request) times Clients is the grid. Grids, instead of them, has several.
	BatchSizes []int    `yaml:"batch_sizes"`
	Clients    []int    `yaml:"concurrency"`
	Grids      []Grid   `yaml:"grids"`
	Requests   int      `yaml:"requests"` // of a cell. Default: 200
	Warmup     *int     `yaml:"warmup"`   // requests before each cell, not counted. Default: 2 for each client
	Batching   Batching `yaml:"dynamic_batching"`
	Instances  int      `yaml:"instances"` // of the model, asked in turns. Default: 1. Bounds: 1 to 64
	Data       string   `yaml:"data"`      // one of dataset's sets, or a JSONL file. Default: msmarco
	Seed       uint64   `yaml:"seed"`      // of the data. Default: 1
}

// Grid is a part of an experiment, with tables of its own.
type Grid struct {
	BatchSizes []int  `yaml:"batch_sizes"`
	Clients    []int  `yaml:"concurrency"`
	Requests   int    `yaml:"requests"` // instead of the experiment's
	Modes      []Mode `yaml:"modes"`    // instead of the experiment's
}

// Batching is the window in which requests are joined, for the modes that are on.
type Batching struct {
	Modes     []Mode        `yaml:"modes"`      // a table for each. Default: off
	MaxTokens int           `yaml:"max_tokens"` // of a joined batch. Default: 16384. Bounds: 1 to 1,048,576
	Wait      time.Duration `yaml:"wait"`       // for more, while a batch isn't full. Default: 50ms. Bounds: 0 to 10s
}

// Mode is dynamic batching off or on.
type Mode bool

// UnmarshalYAML reads on or true, and off or false.
func (m *Mode) UnmarshalYAML(data []byte) error {
	switch strings.TrimSpace(string(data)) {
	case "on", "true":
		*m = true
	case "off", "false":
		*m = false
	default:
		return fmt.Errorf("dynamic batching is off or on, not %s", data)
	}
	return nil
}

// DTypes are the types that an experiment can ask for weights and arithmetic.
var DTypes = []string{"fp32", "fp16", "bf16", "int8", "int4"}

const (
	maxCells     = 10_000
	maxDocuments = 100_000
	maxClients   = 10_000
	maxRequests  = 10_000_000
)

// All returns the embedded experiments, sorted by name.
func All() []Experiment {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	all := make([]Experiment, 0, len(names))
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		e, err := Read(data)
		if err != nil {
			panic(fmt.Sprintf("BUG: %s: %v", name, err))
		}
		all = append(all, e)
	}
	return all
}

// Source returns the YAML of an embedded experiment, as a start for a user's own.
func Source(name string) ([]byte, bool) {
	data, err := files.ReadFile(name + ".yaml")
	return data, err == nil
}

// Read parses an experiment and fills in the defaults.
func Read(data []byte) (Experiment, error) {
	e := Experiment{
		DType: "fp32", MaxLength: 512, Requests: 200, Instances: 1, Data: "msmarco", Seed: 1,
		Batching: Batching{MaxTokens: 16384, Wait: 50 * time.Millisecond},
	}
	if err := unmarshal(data, &e); err != nil {
		return e, err
	}
	if e.Grids == nil {
		e.Grids = []Grid{{BatchSizes: e.BatchSizes, Clients: e.Clients}}
	} else if e.BatchSizes != nil || e.Clients != nil {
		return e, errors.New("batch_sizes and concurrency stand beside grids: they belong into one of them")
	}
	if e.Batching.Modes == nil {
		e.Batching.Modes = []Mode{false}
	}
	for i := range e.Grids {
		g := &e.Grids[i]
		if g.Requests == 0 {
			g.Requests = e.Requests
		}
		if g.Modes == nil {
			g.Modes = e.Batching.Modes
		}
	}
	return e, e.validate()
}

// unmarshal reads YAML strictly. The library panics at some tags where a list is wanted (testdata/fuzz has one).
func unmarshal(data []byte, e *Experiment) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("YAML that can't be read: %v", r)
		}
	}()
	if err := yaml.UnmarshalWithOptions(data, e, yaml.Strict()); err != nil {
		return errors.New(strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	return nil
}

func (e *Experiment) validate() error {
	if e.Name == "" || strings.ContainsAny(e.Name, "/\\\n`|()") || strings.TrimSpace(e.Name) != e.Name {
		return fmt.Errorf("name is %q, want one that can be a file's name and a heading", e.Name)
	}
	if e.Target == "" {
		return errors.New("target is missing")
	}
	if !slices.Contains(DTypes, e.DType) {
		return fmt.Errorf("dtype is %q, want one of %s", e.DType, strings.Join(DTypes, ", "))
	}
	for _, f := range []struct {
		field           string
		value, min, max int
	}{
		{"max_length", e.MaxLength, 8, 8192}, {"instances", e.Instances, 1, 64}, {"requests", e.Requests, 1, maxRequests},
		{"dynamic_batching.max_tokens", e.Batching.MaxTokens, 1, 1 << 20},
	} {
		if err := inRange(f.field, f.value, f.min, f.max); err != nil {
			return err
		}
	}
	if e.Warmup != nil {
		if err := inRange("warmup", *e.Warmup, 0, maxRequests); err != nil {
			return err
		}
	}
	if e.Batching.Wait < 0 || e.Batching.Wait > 10*time.Second {
		return fmt.Errorf("dynamic_batching.wait is %v, want 0 to 10s", e.Batching.Wait)
	}
	cells := 0
	for i, g := range e.Grids {
		if err := g.validate(); err != nil {
			return fmt.Errorf("grid %d: %w", i+1, err)
		}
		cells += len(g.BatchSizes) * len(g.Clients) * len(g.Modes)
	}
	if cells == 0 || cells > maxCells {
		return fmt.Errorf("the grids have %d cells, want 1 to %d", cells, maxCells)
	}
	return nil
}

func (g *Grid) validate() error {
	if len(g.BatchSizes) == 0 || len(g.Clients) == 0 || len(g.Modes) == 0 {
		return errors.New("batch_sizes, concurrency or modes are empty")
	}
	for _, n := range g.BatchSizes {
		if err := inRange("batch_sizes", n, 1, maxDocuments); err != nil {
			return err
		}
	}
	for _, n := range g.Clients {
		if err := inRange("concurrency", n, 1, maxClients); err != nil {
			return err
		}
	}
	return inRange("requests", g.Requests, 1, maxRequests)
}

func inRange(field string, value, least, most int) error {
	if value < least || value > most {
		return fmt.Errorf("%s is %d, want %d to %d", field, value, least, most)
	}
	return nil
}

// WarmupFor returns the number of requests that warm up a cell of so many clients.
func (e *Experiment) WarmupFor(clients int) int {
	if e.Warmup != nil {
		return *e.Warmup
	}
	return 2 * clients
}
