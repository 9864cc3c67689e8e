package simulate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/go-json-experiment/json"
)

// Bounds of a recorded request.
const (
	maxDocuments = 1 << 17
	maxTokens    = 1 << 17 // of a document
	maxLine      = 1 << 20 // bytes
)

// recordedLine is a request in a file: either Lengths, or Documents of Length tokens each.
type recordedLine struct {
	AtMs          float64 `json:"at_ms"`
	Model         int     `json:"model"`
	Client        string  `json:"client"`
	Lengths       []int32 `json:"lengths"`
	Documents     int     `json:"documents"`
	Length        int32   `json:"length"`
	DeadlineMs    float64 `json:"deadline_ms"`     // after at_ms; 0: none
	CancelAfterMs float64 `json:"cancel_after_ms"` // after at_ms; 0: never
}

// Recorded is a trace in a file: a JSON object a line, as in
//
//	{"at_ms": 12.5, "client": "a", "lengths": [83, 120], "deadline_ms": 200, "cancel_after_ms": 50}
//	{"at_ms": 13, "model": 1, "documents": 2000, "length": 100}
type Recorded struct {
	lines  *bufio.Scanner
	number int
	last   time.Duration
	models int
}

// NewRecorded returns the trace that is read from in, for so many models.
func NewRecorded(in io.Reader, models int) *Recorded {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	return &Recorded{lines: lines, models: models}
}

// Next implements Trace. Errors name the line and its fault.
func (t *Recorded) Next(r *Request) error {
	if !t.lines.Scan() {
		if err := t.lines.Err(); err != nil {
			return fmt.Errorf("simulate: line %d: %w", t.number+1, err)
		}
		return io.EOF
	}
	t.number++
	if err := t.parse(t.lines.Bytes(), r); err != nil {
		return fmt.Errorf("simulate: line %d: %w", t.number, err)
	}
	return nil
}

func (t *Recorded) parse(text []byte, r *Request) error {
	var l recordedLine
	if err := json.Unmarshal(text, &l, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	at, err := fromMs("at_ms", l.AtMs)
	if err != nil {
		return err
	}
	deadline, err := fromMs("deadline_ms", l.DeadlineMs)
	if err != nil {
		return err
	}
	if r.CancelAfter, err = fromMs("cancel_after_ms", l.CancelAfterMs); err != nil {
		return err
	}
	if at < t.last {
		return fmt.Errorf("at_ms is %g, after %g", l.AtMs, float64(t.last)/1e6)
	}
	if l.Model < 0 || l.Model >= t.models {
		return fmt.Errorf("model is %d, want 0 to %d", l.Model, t.models-1)
	}
	t.last, r.At, r.Model, r.Client = at, at, l.Model, l.Client
	if deadline > 0 {
		r.Deadline = at + deadline
	}
	return l.documents(r)
}

// documents sets the lengths.
func (l *recordedLine) documents(r *Request) error {
	if len(l.Lengths) > 0 {
		if l.Documents != 0 || l.Length != 0 {
			return errors.New("lengths as well as documents or length")
		}
		r.Lengths = append(r.Lengths, l.Lengths...)
	} else {
		if l.Documents < 1 || l.Documents > maxDocuments {
			return fmt.Errorf("documents is %d, want 1 to %d, or lengths", l.Documents, maxDocuments)
		}
		for range l.Documents {
			r.Lengths = append(r.Lengths, l.Length)
		}
	}
	for _, n := range r.Lengths {
		if n < 1 || n > maxTokens {
			return fmt.Errorf("a length is %d, want 1 to %d", n, maxTokens)
		}
	}
	return nil
}

// maxMs is a year.
const maxMs = 366 * 24 * 3600 * 1000

func fromMs(field string, ms float64) (time.Duration, error) {
	if !(ms >= 0 && ms <= maxMs) {
		return 0, fmt.Errorf("%s is %g, want 0 to %d", field, ms, int64(maxMs))
	}
	return time.Duration(math.Round(ms * float64(time.Millisecond))), nil
}
