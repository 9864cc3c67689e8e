package table

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/parquet-go/parquet-go"

	"github.com/metalrank/metalrank/engine"
)

// rowsPerRead is how many rows of a Parquet file are in memory at a time, besides its pages.
const rowsPerRead = 256

// readParquet yields the rows of a file.
func readParquet(ctx context.Context, path string, columns Columns, yield func(engine.Pair, error) bool) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	return parquetRows(ctx, in, info.Size(), columns, yield)
}

// parquetRows is readParquet for any bytes. The library panics on some damaged files; that is an error here.
func parquetRows(
	ctx context.Context, in io.ReaderAt, sizeBytes int64, columns Columns, yield func(engine.Pair, error) bool,
) (err error) {
	inYield := false
	defer func() {
		if r := recover(); r != nil {
			if inYield {
				panic(r) // not the library's
			}
			err = fmt.Errorf("damaged Parquet: %v", r)
		}
	}()
	if err := checkFooter(in, sizeBytes); err != nil {
		return err
	}
	file, err := parquet.OpenFile(in, sizeBytes, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("not Parquet, or damaged: %w", err)
	}
	query, text := cmp.Or(columns.Query, "query"), cmp.Or(columns.Text, "text")
	if query == text {
		return fmt.Errorf("query and text are the same column, %q", query)
	}
	for _, name := range []string{query, text} {
		if err := checkColumn(file.Schema(), name); err != nil {
			return err
		}
	}
	reader := newRowReader(file, query, text)
	defer reader.rows.Close()
	return reader.each(ctx, func(p engine.Pair) bool {
		inYield = true // and stays so if it panics
		more := yield(p, nil)
		inYield = false
		return more
	})
}

// rowReader reads two columns of a file.
type rowReader struct {
	rows    *parquet.GenericReader[any]
	names   [2]string
	columns [2]int // index of the query and of the text in a row
}

func newRowReader(file *parquet.File, query, text string) *rowReader {
	schema := parquet.NewSchema("pairs", parquet.Group{
		query: parquet.Optional(parquet.String()), text: parquet.Optional(parquet.String()),
	})
	r := &rowReader{rows: parquet.NewGenericReader[any](file, schema), names: [2]string{query, text}, columns: [2]int{0, 1}}
	if text < query { // a group's columns are in the order of their names
		r.columns = [2]int{1, 0}
	}
	return r
}

// each yields all rows, until it is told to stop.
func (r *rowReader) each(ctx context.Context, yield func(engine.Pair) bool) error {
	rows := make([]parquet.Row, rowsPerRead)
	for number := 0; ctx.Err() == nil; {
		n, readErr := r.rows.ReadRows(rows)
		for _, row := range rows[:n] {
			p, err := r.pair(row)
			if err != nil {
				return fmt.Errorf("row %d: %w", number, err)
			}
			number++
			if !yield(p) {
				return nil
			}
		}
		switch {
		case errors.Is(readErr, io.EOF):
			return nil
		case readErr == nil && n == 0:
			return fmt.Errorf("after row %d: %w", number, io.ErrNoProgress)
		case readErr != nil:
			return fmt.Errorf("after row %d: %w", number, readErr)
		}
	}
	return ctx.Err()
}

func (r *rowReader) pair(row parquet.Row) (engine.Pair, error) {
	var texts [2]string
	for i, column := range r.columns {
		if column >= len(row) || row[column].IsNull() {
			return engine.Pair{}, fmt.Errorf("no %q", r.names[i])
		}
		texts[i] = string(row[column].ByteArray())
	}
	return engine.Pair{Query: texts[0], Document: texts[1]}, nil
}

// checkFooter refuses a footer that is longer than the file: the library allocates its memory before it checks that.
func checkFooter(in io.ReaderAt, sizeBytes int64) error {
	const tailBytes, magic = 8, "PAR1" // the footer's length, little-endian; the file begins with the magic, too
	tail := make([]byte, tailBytes)
	if sizeBytes < tailBytes+int64(len(magic)) {
		return errors.New("not Parquet: too short")
	}
	if _, err := in.ReadAt(tail, sizeBytes-tailBytes); err != nil {
		return err
	}
	if string(tail[4:]) != magic {
		return errors.New("not Parquet, or cut off: no PAR1 at its end")
	}
	if footer := int64(binary.LittleEndian.Uint32(tail)); footer > sizeBytes-tailBytes-int64(len(magic)) {
		return fmt.Errorf("damaged Parquet: a footer of %d bytes in a file of %d", footer, sizeBytes)
	}
	return nil
}

// checkColumn says whether a column holds a text in each row.
func checkColumn(schema *parquet.Schema, name string) error {
	leaf, ok := schema.Lookup(name)
	if !ok {
		return fmt.Errorf("no column %q", name)
	}
	if kind := leaf.Node.Type().Kind(); kind != parquet.ByteArray || leaf.Node.Repeated() {
		return fmt.Errorf("column %q is of type %s, want one text in each row", name, leaf.Node.Type())
	}
	return nil
}

// scored is a row of results. Score is null for a pair that failed, and for several labels, which are in Scores.
type scored struct {
	Index  int64     `parquet:"index,delta"`
	Score  *float64  `parquet:"score,optional"`
	Scores []float64 `parquet:"scores,list"`
	Error  *string   `parquet:"error,optional"`
}

// rowsPerGroup is how many results a row group has: they are in memory until it is whole.
const rowsPerGroup = 1 << 17

// parquetOutput writes results as Parquet. Its footer comes last, so that an incomplete file can't be resumed.
type parquetOutput struct {
	writer *parquet.GenericWriter[scored]
	buffer []scored
}

func newParquetOutput(w io.Writer) *parquetOutput {
	return &parquetOutput{writer: parquet.NewGenericWriter[scored](w, parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(rowsPerGroup))}
}

func (o *parquetOutput) score(index int, row []float64) error {
	r := scored{Index: int64(index)}
	if len(row) == 1 {
		value := row[0]
		r.Score = &value
	} else {
		r.Scores = append(r.Scores, row...)
	}
	return o.add(&r)
}

func (o *parquetOutput) failed(index int, reason string) error {
	return o.add(&scored{Index: int64(index), Error: &reason})
}

func (o *parquetOutput) add(r *scored) error {
	if o.buffer = append(o.buffer, *r); len(o.buffer) < rowsPerRead {
		return nil
	}
	return o.flush()
}

func (o *parquetOutput) flush() error {
	_, err := o.writer.Write(o.buffer)
	o.buffer = o.buffer[:0]
	return err
}

func (o *parquetOutput) close() error { return errors.Join(o.flush(), o.writer.Close()) }
