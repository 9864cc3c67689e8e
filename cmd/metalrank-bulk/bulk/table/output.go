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

	"github.com/metalrank/metalrank/cmd/cli/jsonl"
	"github.com/metalrank/metalrank/cmd/metalrank-bulk/bulk"
	"github.com/metalrank/metalrank/internal/outfile"
)

// encoder is a format of results.
type encoder interface {
	score(index int, row []float64) error
	failed(index int, reason string) error
	flush() error // to the file or stream
	close() error
}

// Output writes a job's results to a file, by way of a file beside it called *.partial, which takes the file's name when it
// is whole. After an interruption, by kill -9 for instance, JSON lines are resumed; Parquet starts again.
type Output struct {
	encoder
	job     string
	file    *outfile.File // nil: a stream
	from    bulk.Position
	at      bulk.Position
	marked  time.Time
	resumes bool
}

// mark is the content of *.partial.state: the position and size up to which *.partial is complete.
type mark struct {
	Job       string        `json:"job"` // the Job's ID
	Position  bulk.Position `json:"position"`
	SizeBytes int64         `json:"size_bytes"`
}

const markInterval = time.Second

// NewStream writes JSON lines to w.
func NewStream(w io.Writer) *Output { return &Output{encoder: &lineOutput{bufio.NewWriter(w)}} }

// Create opens an output file for a job, given by its ID. No other process may be writing that file.
func Create(path, job string) (*Output, error) {
	file, err := outfile.Resume(path)
	if err != nil {
		return nil, err
	}
	o := &Output{job: job, file: file, marked: time.Now()}
	if isParquet(path) {
		o.encoder = newParquetOutput(o.file)
	} else {
		o.encoder = &lineOutput{bufio.NewWriter(o.file)}
	}
	if file.Direct() {
		return o, nil
	}
	o.resumes = !isParquet(path)
	size := int64(0)
	if o.resumes {
		size, err = o.readMark()
	}
	if err == nil {
		err = o.file.Truncate(size)
	}
	if err == nil {
		_, err = o.file.Seek(size, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, o.file.Close(false))
	}
	return o, nil
}

func (o *Output) state() string { return o.file.Partial() + ".state" }

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
		return 0, nil //nolint:nilerr // of another job, or damaged: start again
	}
	info, err := o.file.Stat()
	if err != nil || info.Size() < m.SizeBytes {
		return 0, err
	}
	o.from, o.at = m.Position, m.Position
	return m.SizeBytes, nil
}

// From returns the position where the output continues; zero: at the beginning.
func (o *Output) From() bulk.Position { return o.from }

// Score implements bulk.Output.
func (o *Output) Score(index int, row []float64) error { return o.score(index, row) }

// Failed implements bulk.Output.
func (o *Output) Failed(index int, reason string) error { return o.failed(index, reason) }

// Mark implements bulk.Output.
func (o *Output) Mark(at bulk.Position) error {
	o.at = at
	if o.file == nil || o.file.Direct() {
		return o.flush() // so that readers get each chunk at once
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
	return outfile.WriteBytes(o.state(), text)
}

// Close ends the output. If it is whole, its file gets its name; else it stays for a later run to go on with.
func (o *Output) Close(whole bool) error {
	switch {
	case o.file == nil:
		return o.close()
	case !whole:
		return errors.Join(o.Save(), o.file.Close(false))
	}
	err := o.close()
	if err == nil && o.resumes {
		// While the file is locked: after that, the state could be another run's.
		if err = os.Remove(o.state()); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return errors.Join(err, o.file.Close(err == nil))
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
