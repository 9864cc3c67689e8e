package trace

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Trace is a recording that has ended.
type Trace struct {
	Begin, End time.Time
	Spans      []Span
	Dropped    int // spans that there was no room for
}

// whole are the spans of requests that began within the recording, so that all their batches ended in it, and of all
// batches.
func (t *Trace) whole() []Span {
	late := map[uint64]bool{}
	for i := range t.Spans {
		if s := &t.Spans[i]; s.Track == Request && s.Begin.Before(t.Begin) {
			late[s.Request] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(t.Spans), func(s Span) bool { return s.Request != 0 && late[s.Request] })
}

// Processes that tracks are shown under.
const (
	requestProcess = 1
	batchProcess   = 2
	// lanes is how many thread numbers a track has: overlapping spans of a track lie in several threads.
	lanes = 10_000
)

// WriteChrome writes the trace as JSON that Perfetto and Chrome open: Trace Event Format, complete events, each track a
// thread, or several where its spans overlap.
func (t *Trace) WriteChrome(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, `{"displayTimeUnit":"ms","otherData":{"program":"metalrank","began":%q,"seconds":%q,"dropped":"%d"},"traceEvents":[`,
		t.Begin.UTC().Format(time.RFC3339Nano), strconv.FormatFloat(t.End.Sub(t.Begin).Seconds(), 'f', 3, 64), t.Dropped)
	for pid, name := range map[int]string{requestProcess: "requests", batchProcess: "batches"} {
		fmt.Fprintf(out, "\n{\"ph\":\"M\",\"pid\":%d,\"name\":\"process_name\",\"args\":{\"name\":%q}},", pid, name)
	}
	spans := t.whole()
	// Parents come before their children: importers take events that begin at the same time in that order.
	slices.SortStableFunc(spans, func(a, b Span) int {
		return cmp.Or(a.Begin.Compare(b.Begin), cmp.Compare(a.Track, b.Track))
	})
	var busy [trackCount][]time.Time // by lane: until when
	for i := range spans {
		s := &spans[i]
		lane := slices.IndexFunc(busy[s.Track], func(until time.Time) bool { return !until.After(s.Begin) })
		if lane < 0 {
			lane = len(busy[s.Track])
			busy[s.Track] = append(busy[s.Track], time.Time{})
			writeThread(out, s.Track, lane)
		}
		busy[s.Track][lane] = s.End
		t.writeEvent(out, s, lane)
	}
	fmt.Fprint(out, "\n{\"ph\":\"M\",\"pid\":1,\"name\":\"process_labels\",\"args\":{\"labels\":\"metalrank\"}}\n]}\n")
	return out.Flush()
}

func (t Track) process() int {
	if t < Batch {
		return requestProcess
	}
	return batchProcess
}

func thread(t Track, lane int) int { return (int(t)+1)*lanes + lane }

func writeThread(out io.Writer, t Track, lane int) {
	name := t.String()
	if lane > 0 {
		name += " " + strconv.Itoa(lane+1)
	}
	fmt.Fprintf(out, "\n{\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"name\":\"thread_name\",\"args\":{\"name\":%q}},", t.process(), thread(t, lane), name)
	fmt.Fprintf(out, "\n{\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%d}},",
		t.process(), thread(t, lane), thread(t, lane))
}

// writeEvent writes times in microseconds since the recording began, to the nanosecond.
func (t *Trace) writeEvent(out io.Writer, s *Span, lane int) {
	begin := s.Begin.Sub(t.Begin)
	length := max(s.End.Sub(s.Begin), 0)
	fmt.Fprintf(out, "\n{\"ph\":\"X\",\"pid\":%d,\"tid\":%d,\"ts\":%s,\"dur\":%s,\"name\":%q,\"cat\":%q,\"args\":{",
		s.Track.process(), thread(s.Track, lane), microseconds(begin), microseconds(length), s.Track, "metalrank")
	if s.Request != 0 {
		fmt.Fprintf(out, `"request":%d,"first_batch":%d,"batches":%d,`, s.Request, s.Batch, s.Batches)
	} else {
		fmt.Fprintf(out, `"batch":%d,"on":%q,"requests":%q,`, s.Batch, s.On, strings.Trim(fmt.Sprint(s.Requests), "[]"))
	}
	fmt.Fprintf(out, `"pairs":%d,"tokens":%d,"saved_tokens":%d}},`, s.Pairs, s.Tokens, s.Saved)
}

func microseconds(d time.Duration) string {
	sign := ""
	if d < 0 { // a batch that had begun before the recording
		sign, d = "-", -d
	}
	return fmt.Sprintf("%s%d.%03d", sign, d/time.Microsecond, d%time.Microsecond)
}

// parents has for each track the one that its spans are parts of.
var parents = [trackCount]Track{
	Request: Request, Tokenise: Request, Queue: Request, Run: Request, Respond: Request,
	Batch: Batch, Pack: Batch, Encode: Batch, Device: Batch,
}

// WriteFolded writes the trace as lines `batch;device MICROSECONDS`, the stacks that flame graphs are made of: all spans of
// a track added up, those of parents without their parts.
func (t *Trace) WriteFolded(w io.Writer) error {
	stacks := map[string]time.Duration{}
	for _, s := range t.whole() {
		parent, length := parents[s.Track], s.End.Sub(s.Begin)
		if parent == s.Track {
			stacks[s.Track.String()] += length
			continue
		}
		stacks[parent.String()] -= length
		stacks[parent.String()+";"+s.Track.String()] += length
	}
	out := bufio.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(stacks)) {
		fmt.Fprintf(out, "%s %d\n", name, max(stacks[name], 0).Microseconds())
	}
	return out.Flush()
}
