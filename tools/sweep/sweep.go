package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/internal/filelock"
	"github.com/metalrank/metalrank/internal/machine"
	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/tools/sweep/dataset"
	"github.com/metalrank/metalrank/tools/sweep/experiments"
	"github.com/metalrank/metalrank/tools/sweep/target"
)

// Files of a run's folder.
const (
	recordFile  = "sweep.json"
	resultsFile = "all_results.md"
)

// job is one table of an experiment.
type job struct {
	experiments.Grid

	experiment experiments.Experiment
	batching   record.Batching
}

// jobsOf lists the tables of experiments: one for each grid and each of its modes.
func jobsOf(list []experiments.Experiment) []job {
	var jobs []job
	for _, e := range list {
		for _, g := range e.Grids {
			for _, mode := range g.Modes {
				b := record.Batching{On: bool(mode)}
				if b.On {
					b.MaxTokens, b.WaitMS = e.Batching.MaxTokens, float64(e.Batching.Wait)/float64(time.Millisecond)
				}
				jobs = append(jobs, job{g, e, b})
			}
		}
	}
	return jobs
}

// cells returns the grid's batch sizes and clients, in the order of the table's rows.
func (j *job) cells() [][2]int {
	var cells [][2]int
	for _, batch := range j.BatchSizes {
		for _, clients := range j.Clients {
			cells = append(cells, [2]int{batch, clients})
		}
	}
	return cells
}

// sweep is a run in progress.
type sweep struct {
	command *runCommand
	std     cli.Streams
	jobs    []job
	first   role
	second  *role // nil: nothing is compared
	run     *record.Run
	started time.Time // when this process began
	done    int       // cells, in this process and before
	before  int       // cells that an earlier process measured
	sets    map[string]*dataset.Set
	lock    *filelock.Lock // of the folder
}

// tablesPerJob returns the number of tables of a job.
func (s *sweep) tablesPerJob() int {
	if s.second != nil {
		return 2
	}
	return 1
}

// begin starts a record, or goes on with one.
func (s *sweep) begin(list []experiments.Experiment) error {
	c := s.command
	key, err := c.resumeKey(list)
	if err != nil {
		return err
	}
	if c.Resume {
		return s.resume(key)
	}
	if c.Out == "" {
		c.Out = filepath.Join(resultsFolder, time.Now().UTC().Format("20060102-150405"))
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return err
	}
	if err := s.hold(); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.Out, recordFile)); err == nil {
		return fmt.Errorf("%s has a run already: go on with it with --resume, or name another folder", c.Out)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.run = &record.Run{
		Format: record.Format, Begin: time.Now().UTC(), Quick: c.Quick, Options: key, Host: machine.Describe(),
		Tool: cli.CurrentBuild().Version, Commit: machine.Commit(),
	}
	s.started = time.Now()
	return s.save()
}

// hold keeps other sweeps from writing to the folder, until release.
func (s *sweep) hold() (err error) {
	if s.lock, err = filelock.TryLock(s.lockPath()); errors.Is(err, filelock.ErrHeld) {
		return fmt.Errorf("another sweep is writing to %s: %w", s.command.Out, err)
	}
	return err
}

func (s *sweep) release() error {
	if s.lock == nil {
		return nil
	}
	return errors.Join(os.Remove(s.lockPath()), s.lock.Unlock())
}

func (s *sweep) lockPath() string { return filepath.Join(s.command.Out, ".lock") }

// resume reads the record, and drops cells that an interruption left incomplete.
func (s *sweep) resume(key []string) (err error) {
	c := s.command
	if c.Out == "" {
		if c.Out, err = newest(); err != nil {
			return err
		}
	}
	if err := s.hold(); err != nil {
		return fmt.Errorf("nothing to resume: %w", err)
	}
	if s.run, err = record.ReadFile(filepath.Join(c.Out, recordFile)); err != nil {
		return fmt.Errorf("nothing to resume: %w", err)
	}
	for _, option := range s.run.Options {
		if !slices.Contains(key, option) {
			return fmt.Errorf("the run in %s was asked for with %s, and now it isn't: resume it with the same arguments", c.Out, option)
		}
	}
	for _, t := range s.run.Tables {
		t.Cells = slices.DeleteFunc(t.Cells, func(c *record.Cell) bool { return c.Partial })
		if t.Error == "" {
			s.before += len(t.Cells)
		}
	}
	s.before /= s.tablesPerJob()
	s.say("%s: %d cells are measured already", c.Out, s.before)
	s.run.Complete, s.started = false, time.Now()
	return nil
}

// total returns the number of cells of the run.
func (s *sweep) total() int {
	n := 0
	for i := range s.jobs {
		n += len(s.jobs[i].cells())
	}
	return n
}

func (s *sweep) measure(ctx context.Context) error {
	for i := range s.jobs {
		if err := s.job(ctx, i); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	s.run.Complete = true
	return nil
}

// job measures the missing cells of a job's tables.
func (s *sweep) job(ctx context.Context, index int) error {
	j := &s.jobs[index]
	tables := s.tables(index)
	finished := len(tables[0].Cells)
	if finished == len(j.cells()) {
		s.done += finished
		return nil
	}
	s.done += finished
	set, err := s.set(j.experiment.Data, j.experiment.Seed)
	if err != nil {
		return err
	}
	targets := make([]target.Target, len(tables))
	defer func() {
		for _, t := range targets {
			if t != nil {
				_ = t.Close() // its measurements are kept
			}
		}
	}()
	for i, t := range tables {
		if targets[i], err = s.open(ctx, j, i, t, set); err != nil {
			return err
		}
	}
	comparison, err := s.compareScores(ctx, j, targets, set)
	if err != nil {
		return err
	}
	for i, cell := range j.cells() {
		if i < finished {
			continue
		}
		if err := s.cell(ctx, j, cell, targets, tables, set, comparison); err != nil {
			return err
		}
	}
	return s.printTables(tables)
}

// set opens a data set, once.
func (s *sweep) set(name string, seed uint64) (*dataset.Set, error) {
	id := fmt.Sprintf("%s %d", name, seed)
	if s.sets[id] == nil {
		set, err := dataset.Open(name, seed)
		if err != nil {
			return nil, err
		}
		if s.sets == nil {
			s.sets = map[string]*dataset.Set{}
		}
		s.sets[id] = set
	}
	return s.sets[id], nil
}

func (s *sweep) closeSets() {
	for _, set := range s.sets {
		_ = set.Close() // it was only read
	}
}

// tables returns the job's tables, and begins missing ones.
func (s *sweep) tables(index int) []*record.Table {
	n := s.tablesPerJob()
	for len(s.run.Tables) < (index+1)*n {
		s.run.Tables = append(s.run.Tables, &record.Table{Experiment: s.jobs[index].experiment.Name, Begin: time.Now().UTC()})
	}
	return s.run.Tables[index*n : (index+1)*n]
}

// open opens one side of a job. For a system that can't run it returns nil, and the table has the error.
func (s *sweep) open(ctx context.Context, j *job, side int, t *record.Table, set *dataset.Set) (target.Target, error) {
	r := s.first
	if side == 1 {
		r = *s.second
	}
	o := s.command.options(r, &j.experiment)
	o.Batching, o.Say = j.batching, s.say
	t.Batching, t.Data = j.batching, set.Data()
	s.say("opening %s %s for %s", o.Name, o.DType, j.experiment.Name)
	opened, err := target.Open(ctx, o)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		s.say("%s can't run here: %v", o.Name, err)
		t.System, t.Error = o.Describe(), err.Error()
		return nil, nil // the table has the error, which is a result
	}
	t.System, t.Error = opened.System(), ""
	return opened, nil
}

// cell measures one cell with each target, and saves it.
func (s *sweep) cell(ctx context.Context, j *job, size [2]int, targets []target.Target, tables []*record.Table, set *dataset.Set,
	agreement record.Agreement,
) error {
	m := measurement{sweep: s, job: j, batch: size[0], clients: size[1], set: set}
	cells, comparison, err := m.measure(ctx, targets, tables)
	if err != nil {
		return err
	}
	interrupted := ctx.Err() != nil
	for i, cell := range cells {
		if interrupted && cell.Requests == 0 {
			return ctx.Err()
		}
		cell.Partial = interrupted
		tables[i].Cells = append(tables[i].Cells, cell)
		tables[i].Warmup = j.experiment.WarmupFor(size[1])
	}
	if comparison != nil && !interrupted {
		comparison.Agreement = agreement
		s.run.Comparisons = append(s.run.Comparisons, comparison)
	}
	s.done++
	s.report(j, cells, comparison)
	s.run.End = time.Now().UTC()
	return errors.Join(ctx.Err(), s.save())
}
