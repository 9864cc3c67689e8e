package experiments

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/tools/sweep/table"
)

// Every row of the study is a cell of the experiment of its name, with as many requests.
func TestGridsAreTheStudys(t *testing.T) {
	data, err := os.ReadFile("../table/study.md")
	if err != nil {
		t.Fatal(err)
	}
	study, err := table.Parse(string(data))
	if err != nil {
		t.Fatal(err)
	}
	type cell struct {
		name            string
		batch, clients  int
		requests        int
		dynamicBatching bool
	}
	cells, targets := map[cell]bool{}, map[string]string{}
	for _, e := range All() {
		targets[e.Name] = e.Target
		for _, g := range e.Grids {
			for _, batch := range g.BatchSizes {
				for _, clients := range g.Clients {
					for _, m := range g.Modes {
						cells[cell{e.Name, batch, clients, g.Requests, bool(m)}] = true
					}
				}
			}
		}
	}
	named := map[string]bool{}
	for _, s := range study.Sections {
		named[s.Name] = true
		if targets[s.Name] != s.Backend {
			t.Errorf("%s is about %q, in the study about %q", s.Name, targets[s.Name], s.Backend)
		}
		for _, r := range s.Rows {
			c := cell{s.Name, r.Batch, r.Concurrency, r.Pairs / r.Batch, s.Dynamic}
			if r.Failed {
				c.requests = 200 // as the study says of 01 to 04
			}
			if !cells[c] {
				t.Errorf("the study's row %+v is in no grid", c)
			}
		}
	}
	for name := range targets {
		if !named[name] {
			t.Errorf("%s is not in the study", name)
		}
	}
	if len(targets) != len(named) || len(named) != 21 {
		t.Errorf("%d experiments, the study has %d", len(targets), len(named))
	}
}

const minimal = "name: x\ntarget: embedded\nbatch_sizes: [1]\nconcurrency: [2]\n"

func TestDefaults(t *testing.T) {
	e, err := Read([]byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	g := e.Grids[0]
	if e.DType != "fp32" || e.MaxLength != 512 || e.Instances != 1 || e.Data != "msmarco" || e.Seed != 1 ||
		g.Requests != 200 || !slices.Equal(g.Modes, []Mode{false}) || e.WarmupFor(3) != 6 {
		t.Errorf("%+v", e)
	}
	e, err = Read([]byte(minimal + "warmup: 0\ndynamic_batching: {modes: [off, on], wait: 1s}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if e.WarmupFor(3) != 0 || !slices.Equal(e.Grids[0].Modes, []Mode{false, true}) || e.Batching.Wait.Seconds() != 1 {
		t.Errorf("%+v", e)
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                                           "name is",
		"name: x\n":                                                  "target is missing",
		"name: a/b\ntarget: x\n":                                     "name is",
		minimal + "colour: red\n":                                    "colour",
		minimal + "grids: [{sizes: 1}]":                              "sizes",
		minimal + "grids: [{}]\n":                                    "belong into one",
		minimal + "dtype: fp8\n":                                     `dtype is "fp8"`,
		minimal + "max_length: 7\n":                                  "max_length is 7, want 8",
		minimal + "requests: -1\n":                                   "requests is -1",
		minimal + "warmup: -1\n":                                     "warmup is -1",
		minimal + "instances: 65\n":                                  "instances is 65",
		minimal + "batch_sizes: many\n":                              "batch_sizes",
		minimal + "dynamic_batching: {modes: [maybe]}\n":             "off or on, not maybe",
		minimal + "dynamic_batching: {wait: 11s}\n":                  "wait is 11s",
		minimal + "dynamic_batching: {window: 1s}\n":                 "window",
		"name: x\ntarget: y\nbatch_sizes: [0]\nconcurrency: [1]\n":   "batch_sizes is 0",
		"name: x\ntarget: y\nbatch_sizes: [1]\nconcurrency: []\n":    "empty",
		"name: x\ntarget: y\nbatch_sizes: [1]\nconcurrency: [1e9]\n": "concurrency",
	} {
		if _, err := Read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(minimal))
	for _, e := range All() {
		data, _ := Source(e.Name)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Read(data)
		if err != nil {
			return
		}
		for _, g := range e.Grids {
			if len(g.BatchSizes) == 0 || len(g.Clients) == 0 || g.Requests < 1 {
				t.Errorf("a grid without cells: %+v", g)
			}
		}
	})
}
