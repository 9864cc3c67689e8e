package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/metalrank/metalrank/internal/outfile"
)

// maxBytes bounds the record that Read takes: a request is some ten bytes, so that this is tens of millions of them.
const maxBytes = 1 << 30

// ReadFile reads the record at path.
func ReadFile(path string) (*Run, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	defer file.Close()
	run, err := Read(file)
	if err != nil {
		return nil, fmt.Errorf("%w (in %s)", err, path)
	}
	return run, nil
}

// Read reads a record, and checks it. Fields that this version doesn't know are ignored.
func Read(r io.Reader) (*Run, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if len(data) > maxBytes {
		return nil, fmt.Errorf("record: more than %d bytes", maxBytes)
	}
	run := &Run{}
	if err := json.Unmarshal(data, run); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if err := run.Validate(); err != nil {
		return nil, err
	}
	return run, nil
}

// Validate reports the first value that no run can have written.
func (r *Run) Validate() error {
	if r.Format != Format {
		return fmt.Errorf("record: format is %d, want %d", r.Format, Format)
	}
	for i, t := range r.Tables {
		if t == nil {
			return fmt.Errorf("record: tables[%d] is null", i)
		}
		if t.Experiment == "" {
			return fmt.Errorf("record: tables[%d]: no experiment", i)
		}
		for j, c := range t.Cells {
			if c == nil {
				return fmt.Errorf("record: tables[%d].cells[%d] is null", i, j)
			}
			if err := c.validate(); err != nil {
				return fmt.Errorf("record: tables[%d].cells[%d]: %w", i, j, err)
			}
		}
	}
	for i, c := range r.Comparisons {
		if c == nil {
			return fmt.Errorf("record: comparisons[%d] is null", i)
		}
	}
	return nil
}

func (c *Cell) validate() error {
	switch {
	case c.Batch < 1 || c.Concurrency < 1:
		return fmt.Errorf("batch is %d and concurrency %d, want at least 1", c.Batch, c.Concurrency)
	case c.Error != "":
		return nil
	case c.Loop != Closed && c.Loop != Open:
		return fmt.Errorf("loop is %q, want %q or %q", c.Loop, Closed, Open)
	case c.Latencies != nil && len(c.Latencies) != c.Requests:
		return fmt.Errorf("%d latencies of %d requests", len(c.Latencies), c.Requests)
	case c.Documents != nil && len(c.Documents) != c.Requests:
		return fmt.Errorf("documents of %d requests, want %d", len(c.Documents), c.Requests)
	case c.Requests < 0 || c.Pairs < 0 || c.Failed < 0:
		return errors.New("a negative count")
	case c.Requests > 0 && !(c.Seconds > 0):
		return fmt.Errorf("took %g seconds", c.Seconds)
	}
	for i, ms := range c.Latencies {
		if !(ms > 0) || math.IsInf(ms, 0) {
			return fmt.Errorf("latencies_ms[%d] is %g", i, ms)
		}
	}
	return nil
}

// WriteFile writes the record to path, whole or not at all: a process that is killed meanwhile leaves the old record.
func (r *Run) WriteFile(path string) error {
	data, err := json.Marshal(r)
	if err == nil {
		err = outfile.WriteBytes(path, append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}
