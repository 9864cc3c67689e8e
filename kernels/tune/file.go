package tune

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/internal/outfile"
	"github.com/metalrank/metalrank/kernels"
)

// Key says for which machine and kernels outcomes hold.
type Key struct {
	Device  string `json:"device"`  // metal.Info.Name
	System  string `json:"system"`  // version and build of the operating system, whose compiler makes the kernels
	Kernels string `json:"kernels"` // HashKernels
}

// HashKernels returns a hash of the files of kernels.
func HashKernels(files fs.FS) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, path)
		fmt.Fprintf(sum, "%s %d\n", path, len(data))
		sum.Write(data)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

// Path returns the file of a key in a folder.
func (k Key) Path(folder string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", k.Device, k.System, k.Kernels))
	return filepath.Join(folder, hex.EncodeToString(sum[:8])+".json")
}

const (
	format   = 1
	maxBytes = 4 << 20 // that Read takes; a Found has 200
)

type content struct {
	Format int `json:"format"`
	Key
	Found []record `json:"found"`
}

// record is a Found. Rows are 0 for any number.
type record struct {
	Norm    bool    `json:"norm,omitempty"`
	Type    string  `json:"type"`
	Bits    int     `json:"bits,omitempty"`
	N       int     `json:"n"`
	K       int     `json:"k"`
	FewRows bool    `json:"few_rows,omitempty"`
	Rows    int     `json:"rows,omitempty"`
	Variant string  `json:"variant"`
	Time    float64 `json:"seconds"`
	Default string  `json:"default"`
	Before  float64 `json:"default_seconds"`
}

// Read returns the outcomes that Write kept for the key. Errors: fs.ErrNotExist; a file that Write has not made.
func Read(folder string, key Key) ([]Found, error) {
	path := key.Path(folder)
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	found, err := parse(data, key)
	if err != nil {
		return nil, fmt.Errorf("tune: %s: %w", path, err)
	}
	return found, nil
}

// readFile returns a file, or a little more than maxBytes of one that is longer.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("tune: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("tune: %w", err)
	}
	return data, nil
}

func parse(data []byte, key Key) ([]Found, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("more than %d bytes", maxBytes)
	}
	var c content
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, err
	}
	if c.Format != format {
		return nil, fmt.Errorf("format is %d, want %d", c.Format, format)
	}
	if c.Key != key {
		return nil, errors.New("it is of another device, system or set of kernels")
	}
	var all []Found
	for i := range c.Found {
		r := &c.Found[i]
		f := Found{
			Choice: kernels.Choice{
				Shape: kernels.Shape{Norm: r.Norm, Type: kernels.F16, Bits: r.Bits, N: r.N, K: r.K, FewRows: r.FewRows},
				Rows:  r.Rows, Variant: r.Variant,
			},
			Time: r.Time, Default: r.Default, Before: r.Before,
		}
		if r.Type == kernels.F32.String() {
			f.Type = kernels.F32
		}
		if f.Rows == 0 {
			f.Rows = math.MaxInt
		}
		if r.Type != f.Type.String() || r.N <= 0 || r.K <= 0 || f.Rows < 0 {
			return nil, fmt.Errorf("found[%d] is of no product: type %q, n %d, k %d, rows %d", i, r.Type, r.N, r.K, r.Rows)
		}
		all = append(all, f)
	}
	return all, nil
}

// Write keeps outcomes in the folder, which it makes if need be.
func Write(folder string, key Key, found []Found) (err error) {
	c := content{Format: format, Key: key, Found: []record{}}
	for i := range found {
		f := &found[i]
		r := record{f.Norm, f.Type.String(), f.Bits, f.N, f.K, f.FewRows, f.Rows, f.Variant, f.Time, f.Default, f.Before}
		if f.Rows == math.MaxInt {
			r.Rows = 0
		}
		c.Found = append(c.Found, r)
	}
	data, err := json.MarshalIndent(&c, "", "\t")
	if err != nil {
		return fmt.Errorf("tune: %w", err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("tune: %w", err)
	}
	out, err := outfile.Create(key.Path(folder))
	if err != nil {
		return fmt.Errorf("tune: %w", err)
	}
	_, err = out.Write(append(data, '\n'))
	return errors.Join(err, out.Close(err == nil))
}

// Outdated returns the files in a folder that Write made in another version, for other kernels or in another format. No Read of
// this version takes them. A folder that is not there has none.
func Outdated(folder, kernels string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("tune: %w", err)
	}
	var old []string
	for _, path := range paths {
		data, err := readFile(path)
		if err != nil {
			return nil, err
		}
		var c content
		if json.Unmarshal(data, &c) != nil || c.Format != format || c.Kernels != kernels {
			old = append(old, path)
		}
	}
	return old, nil
}

// Merge returns outcomes with those of other shapes that were known before.
func Merge(known, found []Found) []Found {
	return slices.Concat(found, slices.DeleteFunc(slices.Clone(known), func(old Found) bool {
		return slices.ContainsFunc(found, func(f Found) bool { return f.Shape == old.Shape })
	}))
}

// Choices returns the choices of outcomes.
func Choices(found []Found) []kernels.Choice {
	var all []kernels.Choice
	for i := range found {
		all = append(all, found[i].Choice)
	}
	return all
}

// Source returns choices as the lines that kernels/tiles.go has for a device.
func Source(device string, choices []kernels.Choice) string {
	var lines strings.Builder
	fmt.Fprintf(&lines, "\t%q: {\n", device)
	for _, c := range choices {
		rows := "math.MaxInt"
		if c.Rows < math.MaxInt {
			rows = fmt.Sprint(c.Rows)
		}
		fmt.Fprintf(&lines, "\t\t{Shape{%t, %s, %d, %d, %d, %t}, %s, %q},\n",
			c.Norm, strings.ToUpper(c.Type.String()), c.Bits, c.N, c.K, c.FewRows, rows, c.Variant)
	}
	return lines.String() + "\t},\n"
}
