package table

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/metalrank/metalrank/bulk"
	"github.com/metalrank/metalrank/jsonl"
)

// encoder is a format of results.
type encoder interface {
	score(index int, row []float64) error
	failed(index int, reason string) error
	flush() error // to what is below
	close() error
}

// Output writes a job's results to a file, by way of a file beside it called *.partial, which takes the file's name when it is
// whole. JSON lines that were cut off, by kill -9 for instance, are gone on with; Parquet is begun anew.
type Output struct {
	encoder
	path    string // empty: a stream
	job     string
	file    *os.File
	from    bulk.Position
	at      bulk.Position
	marked  time.Time
	resumes bool
}

// mark is what *.partial.state holds: up to where *.partial is right.
type mark struct {
	Job       string        `json:"job"` // the Job's identity
	Position  bulk.Position `json:"position"`
	SizeBytes int64         `json:"size_bytes"`
}

const markInterval = time.Second

// NewStream writes JSON lines to w.
func NewStream(w io.Writer) *Output { return &Output{encoder: &lineOutput{bufio.NewWriter(w)}} }

// Create opens an output file for a job, whose identity tells it from others of its name.
func Create(path, job string) (*Output, error) {
	o := &Output{path: path, job: job, resumes: !isParquet(path), marked: time.Now()}
	var err error
	if o.file, err = os.OpenFile(o.partial(), os.O_RDWR|os.O_CREATE, 0o666); err != nil {
		return nil, err
	}
	size := int64(0)
	if o.resumes {
		if size, err = o.readMark(); err != nil {
			return nil, errors.Join(err, o.file.Close())
		}
	}
	if err = o.file.Truncate(size); err == nil {
		_, err = o.file.Seek(size, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, o.file.Close())
	}
	if o.resumes {
		o.encoder = &lineOutput{bufio.NewWriter(o.file)}
	} else {
		o.encoder = newParquetOutput(o.file)
	}
	return o, nil
}

func (o *Output) partial() string { return o.path + ".partial" }
func (o *Output) state() string   { return o.partial() + ".state" }

// readMark finds where an earlier run got to, and how many bytes of its file count.
func (o *Output) readMark() (sizeBytes int64, err error) {
	text, err := os.ReadFile(o.state())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var m mark
	if err := json.Unmarshal(text, &m); err != nil || m.Job != o.job || m.SizeBytes < 0 {
		return 0, nil //nolint:nilerr // of another job, or torn: begin anew
	}
	info, err := o.file.Stat()
	if err != nil || info.Size() < m.SizeBytes {
		return 0, err
	}
	o.from, o.at = m.Position, m.Position
	return m.SizeBytes, nil
}

// From is where the output goes on; zero: at the beginning.
func (o *Output) From() bulk.Position { return o.from }

// Score implements bulk.Output.
func (o *Output) Score(index int, row []float64) error { return o.score(index, row) }

// Failed implements bulk.Output.
func (o *Output) Failed(index int, reason string) error { return o.failed(index, reason) }

// Mark implements bulk.Output.
func (o *Output) Mark(at bulk.Position) error {
	o.at = at
	if o.file == nil {
		return o.flush() // whoever reads a stream has what there is
	}
	if !o.resumes || time.Since(o.marked) < markInterval {
		return nil
	}
	return o.Save()
}

// Save makes sure that a later run can go on from here.
func (o *Output) Save() error {
	if o.file == nil || !o.resumes {
		return nil
	}
	o.marked = time.Now()
	if err := o.flush(); err != nil {
		return err
	}
	size, err := o.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if err := o.file.Sync(); err != nil {
		return err
	}
	text, err := json.Marshal(mark{Job: o.job, Position: o.at, SizeBytes: size})
	if err != nil {
		return err
	}
	fresh := o.state() + ".new"
	if err := os.WriteFile(fresh, text, 0o666); err != nil {
		return err
	}
	return os.Rename(fresh, o.state())
}

// Close ends the output. If it is whole, its file gets its name; else it stays for a later run to go on with.
func (o *Output) Close(whole bool) error {
	if o.file == nil {
		return o.close()
	}
	if !whole {
		return errors.Join(o.Save(), o.file.Close())
	}
	if err := errors.Join(o.close(), o.file.Sync(), o.file.Close()); err != nil {
		return err
	}
	if err := os.Rename(o.partial(), o.path); err != nil {
		return err
	}
	if err := os.Remove(o.state()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// lineOutput writes the lines that `metalrank score` writes, and {"index": …, "error": …} for a pair without a score.
type lineOutput struct{ w *bufio.Writer }

func (o *lineOutput) score(index int, row []float64) error { return jsonl.WriteScores(o.w, index, row) }

func (o *lineOutput) failed(index int, reason string) error {
	text, err := json.Marshal(struct {
		Index int    `json:"index"`
		Error string `json:"error"`
	}{index, reason})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.w, "%s\n", text)
	return err
}

func (o *lineOutput) flush() error { return o.w.Flush() }
func (o *lineOutput) close() error { return o.w.Flush() }
