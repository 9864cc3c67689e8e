package table

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/metalrank/metalrank/cmd/metalrank-bulk/bulk"
	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/internal/filelock"
)

// all reads a file to its end.
func all(t *testing.T, path string, columns Columns) (pairs []engine.Pair, err error) {
	t.Helper()
	for p, err := range Pairs(t.Context(), path, columns, strings.NewReader("")) {
		if err != nil {
			return pairs, err
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

func write(t *testing.T, name string, data []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// parquetOf is a Parquet file of rows.
func parquetOf[T any](t testing.TB, rows []T, options ...parquet.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[T](&b, options...)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type plainRow struct {
	ID    int64  `parquet:"id"`
	Query string `parquet:"query"`
	Text  string `parquet:"text"`
}

type otherRow struct {
	Passage *string  `parquet:"passage,optional,dict"`
	Tags    []string `parquet:"tags,list"`
	Asked   string   `parquet:"asked,zstd"`
}

func TestParquetIsRead(t *testing.T) {
	var (
		want   []engine.Pair
		plain  []plainRow
		others []otherRow
	)
	for i := range 3*rowsPerRead + 1 {
		p := engine.Pair{Query: strings.Repeat("q", i%7), Document: strings.Repeat("d ", i%100)}
		want = append(want, p)
		plain = append(plain, plainRow{int64(i), p.Query, p.Document})
		others = append(others, otherRow{&p.Document, []string{"a", "b"}, p.Query})
	}
	got, err := all(t, write(t, "a.parquet", parquetOf(t, plain, parquet.MaxRowsPerRowGroup(100))), Columns{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	file := write(t, "b.Parquet", parquetOf(t, others))
	if got, err = all(t, file, Columns{Query: "asked", Text: "passage"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	others[5].Passage = nil
	for want, read := range map[string]func() ([]engine.Pair, error){
		`no column "query"`: func() ([]engine.Pair, error) { return all(t, file, Columns{Text: "passage"}) },
		`"id" is of type INT`: func() ([]engine.Pair, error) {
			return all(t, write(t, "c.parquet", parquetOf(t, plain)), Columns{Text: "id"})
		},
		`no column "tags"`: func() ([]engine.Pair, error) { return all(t, file, Columns{Query: "tags", Text: "passage"}) },
		`row 5: no "passage"`: func() ([]engine.Pair, error) {
			return all(t, write(t, "d.parquet", parquetOf(t, others)), Columns{"asked", "passage"})
		},
		"the same column": func() ([]engine.Pair, error) { return all(t, file, Columns{"asked", "asked"}) },
		"not Parquet":     func() ([]engine.Pair, error) { return all(t, write(t, "e.parquet", []byte("hello")), Columns{}) },
		"nowhere.parquet": func() ([]engine.Pair, error) { return all(t, "nowhere.parquet", Columns{}) },
		`line 2: no "text"`: func() ([]engine.Pair, error) {
			return all(t, write(t, "f.jsonl", []byte("{\"query\":\"\",\"text\":\"\"}\n{\"query\":\"\"}\n")), Columns{})
		},
		`line 1: "query" is of type n`: func() ([]engine.Pair, error) { return all(t, write(t, "g.jsonl", []byte(`{"query":1}`)), Columns{}) },
	} {
		if _, err := read(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A damaged file is an error, or is read; it never brings the program down.
func TestDamagedParquet(t *testing.T) {
	whole := parquetOf(t, []plainRow{{1, "query", "text"}, {2, "query", "other"}})
	count := func(data []byte) (n int, err error) {
		err = parquetRows(t.Context(), bytes.NewReader(data), int64(len(data)), Columns{}, func(engine.Pair, error) bool {
			n++
			return n < 100
		})
		return n, err
	}
	if n, err := count(whole); n != 2 || err != nil {
		t.Fatalf("%d rows, %v", n, err)
	}
	for i := range whole {
		if n, err := count(whole[:i]); err == nil {
			t.Errorf("cut after %d of %d bytes: %d rows and no error", i, len(whole), n)
		}
	}
	// A panic in yield is the caller's, and is passed on.
	defer func() {
		if recover() != "mine" {
			t.Error("a panic of the caller's became an error")
		}
	}()
	_ = parquetRows(t.Context(), bytes.NewReader(whole), int64(len(whole)), Columns{}, func(engine.Pair, error) bool { panic("mine") })
}

func FuzzJSONLines(f *testing.F) {
	f.Add([]byte("{\"query\":\"a\",\"text\":\"b\"}\n\n{\"query\":\"a\",\"text\":\"\\u00e4\",\"id\":[1]}\r\n"))
	f.Add([]byte("\xef\xbb\xbf{\"query\":1}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		for p, err := range Pairs(t.Context(), "-", Columns{}, bytes.NewReader(data)) {
			if err != nil && (p != engine.Pair{}) {
				t.Error("a pair and an error")
			}
			n++
		}
		if most := bytes.Count(data, []byte("\n")) + 1; n > most {
			t.Errorf("%d pairs in %d lines", n, most)
		}
	})
}

// The parser is a library, which allocates memory as the file's header says: small files only.
func FuzzParquet(f *testing.F) {
	f.Add(parquetOf(f, []plainRow{{1, "query", "text"}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		_ = parquetRows(t.Context(), bytes.NewReader(data), int64(len(data)), Columns{}, func(_ engine.Pair, err error) bool {
			n++
			return n < 1000
		})
	})
}

// results hands results from to to-1 to an output. Those with index 1, 4, 7, … are of pairs without a score.
func results(t *testing.T, o bulk.Output, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		var err error
		if i%3 == 1 {
			err = o.Failed(i, "why \"so\"")
		} else {
			err = o.Score(i, []float64{float64(i) / 3})
		}
		if err == nil {
			err = o.Mark(bulk.Position{Chunk: i + 1, Pairs: i + 1})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

const wantLines = `{"index":0,"score":0}
{"index":1,"error":"why \"so\""}
{"index":2,"score":0.6666666666666666}
{"index":3,"score":1}
{"index":4,"error":"why \"so\""}
`

func TestLinesAreWritten(t *testing.T) {
	var b bytes.Buffer
	o := NewStream(&b)
	results(t, o, 0, 5)
	if b.String() != wantLines { // before Close: readers get each chunk at once
		t.Errorf("%s", b.String())
	}
	if err := o.Close(true); err != nil {
		t.Error(err)
	}
}

// open opens an output, and wants it to continue after from pairs.
func open(t *testing.T, path, job string, from int) *Output {
	t.Helper()
	o, err := Create(path, job)
	if err != nil {
		t.Fatal(err)
	}
	if o.From().Pairs != from {
		t.Fatalf("it goes on after %d pairs, want %d", o.From().Pairs, from)
	}
	return o
}

func TestOutputIsTakenUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	o := open(t, path, "job 1", 0)
	results(t, o, 0, 2)
	if err := o.Save(); err != nil {
		t.Fatal(err)
	}
	results(t, o, 2, 3)
	if err := o.flush(); err != nil { // kill -9 comes here: more is in the file than the mark says
		t.Fatal(err)
	}
	if err := o.file.Close(false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the output is there before it is whole: %v", err)
	}
	o = open(t, path, "job 1", 2)
	results(t, o, 2, 3)
	if err := o.Close(false); err != nil {
		t.Fatal(err)
	}
	o = open(t, path, "job 1", 3)
	results(t, o, 3, 5)
	if err := o.Close(true); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != wantLines {
		t.Errorf("%s %v", got, err)
	}
	if left, err := filepath.Glob(path + ".*"); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

// Two collections can't write one file at a time, of one job or of two: the second is refused and changes nothing.
func TestOutputIsOnesOwn(t *testing.T) {
	for _, name := range []string{"scores.jsonl", "scores.parquet"} {
		path := filepath.Join(t.TempDir(), name)
		o := open(t, path, "job 1", 0)
		results(t, o, 0, 2)
		for _, job := range []string{"job 2", "job 1"} {
			if _, err := Create(path, job); !errors.Is(err, filelock.ErrHeld) || !strings.Contains(err.Error(), "another process is writing "+path) {
				t.Errorf("%s: %v", job, err)
			}
		}
		results(t, o, 2, 5)
		if err := o.Close(true); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || name == "scores.jsonl" && string(got) != wantLines {
			t.Errorf("%s %v", got, err)
		}
		if left, err := filepath.Glob(path + ".*"); err != nil || len(left) > 0 {
			t.Errorf("left: %v %v", left, err)
		}
	}
}

// A device as the output is written to, and not replaced by a file.
func TestOutputToADevice(t *testing.T) {
	o := open(t, os.DevNull, "job 1", 0)
	results(t, o, 0, 5)
	if err := o.Close(true); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode()&os.ModeDevice == 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// A partial file of another job, or with a damaged state, is started again.
func TestOutputIsBegunAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	o := open(t, path, "job 1", 0)
	results(t, o, 0, 2)
	if err := o.Close(false); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path, "job 2", 0).file.Close(false); err != nil {
		t.Fatal(err)
	}
	o = open(t, path, "job 1", 0) // job 2 has emptied it
	results(t, o, 0, 2)
	if err := o.Close(false); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.state(), []byte(`{"job":"job 1","pos`), 0o666); err != nil {
		t.Fatal(err)
	}
	o = open(t, path, "job 1", 0)
	results(t, o, 0, 5)
	if err := o.Close(true); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != wantLines {
		t.Errorf("%s %v", got, err)
	}
}

func TestParquetIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scores.parquet")
	o := open(t, path, "job 1", 0)
	results(t, o, 0, 3)
	if err := o.file.Close(false); err != nil { // cut off
		t.Fatal(err)
	}
	o = open(t, path, "job 1", 0)
	results(t, o, 0, 700)
	if err := o.Close(true); err != nil {
		t.Fatal(err)
	}
	rows, err := parquet.ReadFile[scored](path)
	if err != nil || len(rows) != 700 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, r := range rows {
		switch {
		case r.Index != int64(i):
			t.Fatalf("row %d has index %d", i, r.Index)
		case i%3 == 1 && (r.Error == nil || *r.Error != "why \"so\"" || r.Score != nil):
			t.Fatalf("row %d is %+v, want an error", i, r)
		case i%3 != 1 && (r.Error != nil || r.Score == nil || *r.Score != float64(i)/3):
			t.Fatalf("row %d is %+v, want a score", i, r)
		}
	}
	path = filepath.Join(t.TempDir(), "labels.parquet")
	o = open(t, path, "job 1", 0)
	if err := errors.Join(o.Score(0, []float64{1, 2, 3}), o.Close(true)); err != nil {
		t.Fatal(err)
	}
	if rows, err := parquet.ReadFile[scored](path); err != nil || len(rows) != 1 || !cmp.Equal(rows[0].Scores, []float64{1, 2, 3}) {
		t.Errorf("%+v, %v", rows, err)
	}
}

func TestReadingStops(t *testing.T) {
	in, out := io.Pipe()
	defer out.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range Pairs(ctx, "-", Columns{}, in) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want %v", err, context.Canceled)
		}
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
}
