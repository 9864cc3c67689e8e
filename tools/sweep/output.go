package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/metalrank/metalrank/internal/outfile"
	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/tools/sweep/table"
)

func (s *sweep) say(format string, arguments ...any) {
	fmt.Fprintf(s.std.Err, "sweep: "+format+"\n", arguments...)
}

// progress is a bar while a cell is measured, if standard error is a terminal, which mpb checks.
type progress struct {
	container *mpb.Progress
	bar       *mpb.Bar
}

func (s *sweep) newProgress(j *job, batch, clients, pairs int) *progress {
	container := mpb.New(mpb.WithOutput(s.std.Err), mpb.WithWidth(40))
	name := fmt.Sprintf("[%d/%d] %s %d×%d ", s.done+1, s.total(), j.experiment.Name, batch, clients)
	return &progress{container, container.AddBar(int64(pairs), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name)),
		mpb.AppendDecorators(decor.AverageSpeed(0, " %.0f pairs/s "), decor.AverageETA(decor.ET_STYLE_GO)),
	)}
}

// add is called from any goroutine.
func (p *progress) add(documents int) { p.bar.IncrBy(documents) }

func (p *progress) finish() {
	p.bar.Abort(true)
	p.container.Wait()
}

// report prints a line for each target's cell, and about how long the rest takes.
func (s *sweep) report(j *job, cells []*record.Cell, comparison *record.Comparison) {
	head := fmt.Sprintf("[%d/%d] %s %d×%d", s.done, s.total(), j.experiment.Name, cells[0].Batch, cells[0].Concurrency)
	if j.batching.On {
		head += " dynamic"
	}
	left := ""
	if measured := s.done - s.before; measured > 0 && s.done < s.total() {
		rest := time.Since(s.started) / time.Duration(measured) * time.Duration(s.total()-s.done)
		left = fmt.Sprintf("; about %v left", rest.Round(time.Second))
	}
	for i, c := range cells {
		side := s.run.Tables[len(s.run.Tables)-len(cells)+i].System
		switch {
		case c.Error != "":
			s.say("%s: %s: ERROR: %s%s", head, side.Backend, c.Error, left)
		default:
			failed := ""
			if c.Failed > 0 {
				failed = fmt.Sprintf(", %d failed", c.Failed)
			}
			s.say("%s: %s %s: %.1f pairs/s, P50 %.1f ms, P99 %.1f ms%s%s", head, side.Backend, side.DType, c.Throughput.Mean,
				c.Latency.P50, c.Latency.P99, failed, left)
		}
	}
	if comparison != nil {
		s.say("%s: %s", head, describe(comparison))
	}
}

// describe returns a comparison in words.
func describe(c *record.Comparison) string {
	if c.Error != "" {
		return "not compared: " + c.Error
	}
	return fmt.Sprintf("%s %s does %.2f times the pairs/s of %s %s (95 %% interval %.2f to %.2f, %d repeats)",
		c.B.Backend, c.B.DType, c.Ratio, c.A.Backend, c.A.DType, c.Low, c.High, len(c.ThroughputA))
}

// sectionOf returns a record's table in the study's form.
func sectionOf(t *record.Table) table.Section {
	s := table.Section{
		Name: t.Experiment, Time: t.Begin, Backend: t.System.Backend, Device: t.System.Device, Dynamic: t.Batching.On,
	}
	for _, c := range t.Cells {
		s.Rows = append(s.Rows, table.Row{
			Batch: c.Batch, Concurrency: c.Concurrency, Failed: c.Error != "", Pairs: c.Pairs, Seconds: c.Seconds,
			LatAvg: c.Latency.Mean, LatP50: c.Latency.P50, LatP95: c.Latency.P95, LatP99: c.Latency.P99,
			TPAvg: c.Throughput.Mean, TPP50: c.Throughput.P50, TPP95: c.Throughput.P95, TPP99: c.Throughput.P99,
		})
	}
	s.Summary = table.Summarize(s.Rows)
	return s
}

// documentOf joins a run's tables.
func documentOf(run *record.Run) *table.Document {
	d := &table.Document{Title: table.Title, Intro: table.Intro}
	for _, t := range run.Tables {
		if len(t.Cells) > 0 {
			d.Sections = append(d.Sections, sectionOf(t))
		}
	}
	return d
}

// printTables prints a job's tables when it is done, with the reason below one that failed.
func (s *sweep) printTables(tables []*record.Table) error {
	for _, t := range tables {
		section := sectionOf(t)
		if _, err := fmt.Fprintln(s.std.Out, section.String()); err != nil {
			return err
		}
		if t.Error != "" {
			fmt.Fprintf(s.std.Out, "%s: %s\n\n", t.System.Backend, t.Error)
		}
	}
	return nil
}

// save writes the record, and the tables beside it.
func (s *sweep) save() error {
	if err := s.run.WriteFile(filepath.Join(s.command.Out, recordFile)); err != nil {
		return err
	}
	return outfile.WriteBytes(filepath.Join(s.command.Out, resultsFile), []byte(documentOf(s.run).String()))
}

// finish prints the comparisons, and the folder of the results.
func (s *sweep) finish() {
	for _, c := range s.run.Comparisons {
		fmt.Fprintf(s.std.Out, "%s %d×%d: %s\n", c.Experiment, c.Batch, c.Concurrency, describe(c))
	}
	s.say("done in %v: %s and %s are in %s; \"sweep report %[4]s\" makes a page of them",
		time.Since(s.started).Round(time.Second), recordFile, resultsFile, s.command.Out)
}
