package metal_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/metalrank/metalrank/metal"
)

// files makes a file system of name, text pairs.
func files(pairs ...string) fstest.MapFS {
	result := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		result[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return result
}

func TestLoadSource(t *testing.T) {
	for _, test := range []struct {
		name  string
		files fstest.MapFS
		want  string
	}{
		{"one file", files("k.metal", "a\nb\n"), "#line 1 \"k.metal\"\na\nb\n"},
		{"no newline at the end", files("k.metal", "a\nb"), "#line 1 \"k.metal\"\na\nb\n"},
		{"the compiler's includes stay", files("k.metal", "#include <metal_stdlib>\n"),
			"#line 1 \"k.metal\"\n#include <metal_stdlib>\n"},
		{"include", files("k.metal", "a\n#include \"h.h\"\nb\n", "h.h", "x\n"),
			"#line 1 \"k.metal\"\na\n#line 1 \"h.h\"\nx\n#line 3 \"k.metal\"\nb\n"},
		{"comments", files("k.metal", "#include \"h.h\" // why\n#include \"h.h\"\n", "h.h", "#pragma once // always\nx\n"),
			"#line 1 \"k.metal\"\n#line 1 \"h.h\"\n\nx\n#line 2 \"k.metal\"\n#line 3 \"k.metal\"\n"},
		{"spaces", files("k.metal", "  #  include   \"h.h\"  \nb\n", "h.h", "x\n"),
			"#line 1 \"k.metal\"\n#line 1 \"h.h\"\nx\n#line 2 \"k.metal\"\nb\n"},
		{"relative to the includer", files("k.metal", "#include \"d/h.h\"\n", "d/h.h", "#include \"e/i.h\"\n#include \"../j.h\"\n",
			"d/e/i.h", "i\n", "j.h", "j\n"),
			"#line 1 \"k.metal\"\n#line 1 \"d/h.h\"\n#line 1 \"d/e/i.h\"\ni\n#line 2 \"d/h.h\"\n#line 1 \"j.h\"\nj\n" +
				"#line 3 \"d/h.h\"\n#line 2 \"k.metal\"\n"},
		{"relative to the root", files("k.metal", "#include \"d/h.h\"\n", "d/h.h", "#include \"e/i.h\"\n", "e/i.h", "i\n"),
			"#line 1 \"k.metal\"\n#line 1 \"d/h.h\"\n#line 1 \"e/i.h\"\ni\n#line 2 \"d/h.h\"\n#line 2 \"k.metal\"\n"},
		{"beside the includer before the root", files("k.metal", "#include \"d/h.h\"\n", "d/h.h", "#include \"i.h\"\n",
			"i.h", "far\n", "d/i.h", "near\n"),
			"#line 1 \"k.metal\"\n#line 1 \"d/h.h\"\n#line 1 \"d/i.h\"\nnear\n#line 2 \"d/h.h\"\n#line 2 \"k.metal\"\n"},
		{"twice without #pragma once", files("k.metal", "#include \"h.h\"\n#include \"h.h\"\n", "h.h", "x\n"),
			"#line 1 \"k.metal\"\n#line 1 \"h.h\"\nx\n#line 2 \"k.metal\"\n#line 1 \"h.h\"\nx\n#line 3 \"k.metal\"\n"},
		{"twice with it, by two paths",
			files("k.metal", "#include \"d/h.h\"\n#include \"d/i.h\"\n", "d/h.h", "#pragma once\nx\n", "d/i.h", "#include \"../d/h.h\"\n"),
			"#line 1 \"k.metal\"\n#line 1 \"d/h.h\"\n\nx\n#line 2 \"k.metal\"\n#line 1 \"d/i.h\"\n#line 2 \"d/i.h\"\n" +
				"#line 3 \"k.metal\"\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			source, err := metal.LoadSource(test.files, "k.metal")
			if err != nil {
				t.Fatal(err)
			}
			if source.Text != test.want {
				t.Errorf("got\n%swant\n%s", source.Text, test.want)
			}
			if source.Name != "k.metal" || source.Metallib != nil {
				t.Errorf("name %q, %d bytes of metallib", source.Name, len(source.Metallib))
			}
		})
	}
}

func TestLoadSourceErrors(t *testing.T) {
	for _, test := range []struct {
		name  string
		files fstest.MapFS
		want  string // in the error
		is    error
	}{
		{"no such file", files("other.metal", ""), "k.metal", fs.ErrNotExist},
		{"no such include", files("k.metal", "\n\n#include \"h.h\"\n"), "k.metal:3: ", fs.ErrNotExist},
		{"no such include in an include", files("k.metal", "#include \"h.h\"\n", "h.h", "\n#include \"i.h\"\n"),
			"k.metal:1: h.h:2: ", fs.ErrNotExist},
		{"itself", files("k.metal", "#include \"k.metal\"\n"), "k.metal → k.metal", nil},
		{"a cycle", files("k.metal", "#include \"a.h\"\n", "a.h", "#include \"b.h\"\n", "b.h", "\n#include \"a.h\"\n"),
			"b.h:2: a.h: included from itself: k.metal → a.h → b.h → a.h", nil},
		{"out of the folder", files("k.metal", "#include \"../secret.h\"\n"), "k.metal:1: ", fs.ErrNotExist},
		{"out of the folder and back", files("k.metal", "#include \"d/../../x/secret.h\"\n"), "k.metal:1: ", fs.ErrNotExist},
	} {
		t.Run(test.name, func(t *testing.T) {
			source, err := metal.LoadSource(test.files, "k.metal")
			if err == nil {
				t.Fatalf("no error, and the text\n%s", source.Text)
			}
			if !strings.HasPrefix(err.Error(), "metal: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q, want %q in it", err, test.want)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %q, want one that is %q", err, test.is)
			}
		})
	}
}

// TestLoadSourceStaysInside: an #include can't name a file outside a real folder either.
func TestLoadSourceStaysInside(t *testing.T) {
	folder := t.TempDir()
	inside := filepath.Join(folder, "inside")
	if err := os.Mkdir(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(folder, "secret.h")
	for path, text := range map[string]string{
		secret:                               "secret",
		filepath.Join(inside, "up.metal"):    "#include \"../secret.h\"\n",
		filepath.Join(inside, "root.metal"):  "#include \"" + filepath.ToSlash(secret) + "\"\n",
		filepath.Join(inside, "plain.metal"): "plain\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := metal.LoadSource(os.DirFS(inside), "plain.metal"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"up.metal", "root.metal"} {
		if source, err := metal.LoadSource(os.DirFS(inside), name); err == nil || strings.Contains(source.Text, "secret") {
			t.Errorf("%s: error %v, text %q", name, err, source.Text)
		}
	}
}
