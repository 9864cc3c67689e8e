package tune

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/metalrank/metalrank/kernels"
)

var example = []Found{
	{kernels.Choice{Shape: kernels.Shape{N: 1152, K: 384}, Rows: 32, Variant: "8x32"}, 1e-5, "32x32", 2e-5},
	{kernels.Choice{Shape: kernels.Shape{N: 1152, K: 384}, Rows: math.MaxInt, Variant: "64x16"}, 1e-3, "32x32", 2e-3},
	{kernels.Choice{Shape: kernels.Shape{Norm: true, Type: kernels.F32, Bits: 4, N: 384, K: 1536}, Rows: math.MaxInt, Variant: "8x48"}, 1, "8x48", 1},
	{kernels.Choice{Shape: kernels.Shape{N: 384, K: 384, FewRows: true}, Rows: math.MaxInt, Variant: "8x32_split4"}, 1e-5, "8x32", 2e-5},
}

// TestFile writes outcomes and reads them again, for their key alone.
func TestFile(t *testing.T) {
	folder := t.TempDir() + "/new"
	key := Key{Device: "Apple M2 Max", System: "macOS 15.1 (24B83)", Kernels: "abc"}
	if _, err := Read(folder, key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	if err := Write(folder, key, example); err != nil {
		t.Fatal(err)
	}
	found, err := Read(folder, key)
	if err != nil || !reflect.DeepEqual(found, example) {
		t.Errorf("read %+v, %v", found, err)
	}
	for _, other := range []Key{{"Apple M2", key.System, key.Kernels}, {key.Device, "macOS 15.2", key.Kernels}, {key.Device, key.System, "abd"}} {
		if _, err := Read(folder, other); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%+v: %v", other, err)
		}
	}
	for name, c := range map[string]struct{ old, replacement, want string }{
		"another key":    {"M2 Max", "M3 Max", "another device"},
		"another format": {`"format": 1`, `"format": 2`, "format is 2"},
		"no product":     {`"n": 1152`, `"n": -1`, "found[0] is of no product"},
		"another type":   {`"f32"`, `"f64"`, "found[2] is of no product"},
		"no JSON":        {"{", "[", "invalid character"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if err := Write(folder, key, example); err != nil {
				t.Fatal(err)
			}
			path := key.Path(folder)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			data = []byte(strings.Replace(string(data), c.old, c.replacement, 1))
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Read(folder, key); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want %q and the path", err, c.want)
			}
		})
	}
}

// TestMerge wants new outcomes before old ones of the same shape.
// TestOutdated wants the files of other kernels and of other formats, of which this version reads none.
func TestOutdated(t *testing.T) {
	folder := t.TempDir()
	if old, err := Outdated(folder+"/none", "new"); err != nil || len(old) > 0 {
		t.Errorf("no folder: %q, %v", old, err)
	}
	current := Key{Device: "Apple M2", System: "macOS 15.1", Kernels: "new"}
	earlier := Key{Device: "Apple M2", System: "macOS 15.1", Kernels: "old"}
	for _, key := range []Key{current, earlier} {
		if err := Write(folder, key, example); err != nil {
			t.Fatal(err)
		}
	}
	other := folder + "/other.json"
	if err := os.WriteFile(other, []byte(`{"format": 0, "kernels": "new"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	old, err := Outdated(folder, "new")
	slices.Sort(old)
	want := []string{earlier.Path(folder), other}
	slices.Sort(want)
	if err != nil || !slices.Equal(old, want) {
		t.Errorf("got %q, %v, want %q", old, err, want)
	}
}

func TestMerge(t *testing.T) {
	changed := example[1]
	changed.Variant = "32x16"
	got := Merge(example, []Found{changed})
	if want := []Found{changed, example[2], example[3]}; !reflect.DeepEqual(got, want) {
		t.Errorf("merged %+v, want %+v", got, want)
	}
}

// TestHashKernels wants another hash for another file, name or boundary between files.
func TestHashKernels(t *testing.T) {
	seen := map[string]string{}
	for name, files := range map[string]map[string]string{
		"one": {"a": "b"}, "another name": {"b": "b"}, "another text": {"a": "c"}, "two": {"a": "b", "b": "b"}, "moved": {"a": "bb 1\nb"},
	} {
		tree := fstest.MapFS{}
		for path, text := range files {
			tree[path] = &fstest.MapFile{Data: []byte(text)}
		}
		hash, err := HashKernels(tree)
		if err != nil || seen[hash] != "" {
			t.Errorf("%s has the hash of %q, %v", name, seen[hash], err)
		}
		seen[hash] = name
	}
}

// TestSource checks the lines for kernels/tiles.go.
func TestSource(t *testing.T) {
	want := `	"Apple M2": {
		{Shape{false, F16, 0, 1152, 384, false}, 32, "8x32"},
		{Shape{false, F16, 0, 1152, 384, false}, math.MaxInt, "64x16"},
		{Shape{true, F32, 4, 384, 1536, false}, math.MaxInt, "8x48"},
		{Shape{false, F16, 0, 384, 384, true}, math.MaxInt, "8x32_split4"},
	},
`
	if got := Source("Apple M2", Choices(example)); got != want {
		t.Errorf("got %s", got)
	}
}

// FuzzParse wants no panic, and outcomes that Write can keep.
func FuzzParse(f *testing.F) {
	key := Key{Device: "d"}
	f.Add([]byte(`{"format":1,"device":"d","system":"","kernels":"","found":[{"type":"f16","n":8,"k":8,"variant":"8x32"}]}`))
	f.Add([]byte(`{"format":1,"found":[null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := parse(data, key)
		if err != nil || len(found) == 0 {
			return
		}
		folder := t.TempDir()
		if err := Write(folder, key, found); err != nil {
			t.Fatal(err)
		}
		if again, err := Read(folder, key); err != nil || !reflect.DeepEqual(again, found) {
			t.Fatalf("wrote %+v, read %+v, %v", found, again, err)
		}
	})
}
