package weights

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/metalrank/metalrank/weights/quant"
)

// Rows of a table are those of the whole tensor, from a file and from memory, quantised or not. A removed file is still read,
// a changed one is not.
func TestTable(t *testing.T) {
	a := quant.Affine{GroupSize: 32, Bits: 4}
	for name, files := range map[string]map[string][]byte{"floats": tinyFiles(), "shards": shardedFiles(), "groups of four bits": groupedFiles(quantizedConfig(schemeJSON(a)), a, keep)} {
		dir := writeFolder(t, files)
		onDisk, err := Open(dir)
		put(t, err)
		inMemory, err := FromMemory(name, files)
		put(t, err)
		for where, c := range map[string]*Checkpoint{"disk": onDisk, "memory": inMemory} {
			plan, err := c.Plan()
			put(t, err)
			words := plan.Embeddings.Words
			table, err := c.OpenTable(words)
			put(t, err)
			whole, err := c.Read(words)
			put(t, err)
			want := make([]float32, whole.Len())
			whole.Float32s(want, 0)
			rows, width := words.Shape[0], words.Shape[1]
			if where == "disk" {
				put(t, c.Close())
			}
			got := make([]float32, width)
			for row := range rows {
				if err := table.Float32s(got, row); err != nil || !slices.Equal(got, want[row*width:(row+1)*width]) {
					t.Fatalf("%s on %s: row %d is %v, %v, want %v", name, where, row, got, err, want[row*width:(row+1)*width])
				}
			}
			if where == "memory" {
				put(t, table.Close(), table.Close())
				continue
			}
			file := filepath.Join(dir, words.file)
			if words.Quant != nil {
				file = filepath.Join(dir, words.Quant.Codes.file)
			}
			put(t, os.Truncate(file, 3))
			if err := table.Float32s(got, 0); !errors.Is(err, ErrChanged) {
				t.Errorf("%s: a file that was cut: %v", name, err)
			}
			put(t, table.Close(), table.Close())
		}
	}
}

func TestTableOfRemovedFile(t *testing.T) {
	dir := writeFolder(t, tinyFiles())
	c, err := Open(dir)
	put(t, err)
	plan, err := c.Plan()
	put(t, err)
	table, err := c.OpenTable(plan.Embeddings.Words)
	put(t, err, os.RemoveAll(dir))
	if err := table.Float32s(make([]float32, plan.Hidden), 1); err != nil {
		t.Error(err)
	}
	put(t, table.Close(), c.Close())
	if _, err := c.OpenTable(plan.Embeddings.Words); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
