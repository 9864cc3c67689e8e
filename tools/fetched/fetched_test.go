package fetched

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOnce: a folder is complete or absent.
func TestOnce(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "made")
	failure := errors.New("no luck")
	if err := Once(folder, func(string) error { return failure }); err == nil {
		t.Error("no error where the folder could not be filled")
	}
	if left, err := os.ReadDir(filepath.Dir(folder)); err != nil || len(left) != 0 {
		t.Errorf("%d entries left and error %v, want none", len(left), err)
	}
	fill := func(unfinished string) error {
		return os.WriteFile(filepath.Join(unfinished, "file"), nil, 0o644)
	}
	for range 2 { // the second call finds it made
		if err := Once(folder, fill); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "file")); err != nil {
		t.Error(err)
	}
}

// TestFiles: the same files are the same folder, and other contents another.
func TestFiles(t *testing.T) {
	cache := t.TempDir()
	folder, err := Files(cache, "x", map[string][]byte{"a": []byte("1"), "b/c": []byte("2")})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"a": "1", "b/c": "2"} {
		if got, err := os.ReadFile(filepath.Join(folder, path)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	if again, err := Files(cache, "x", map[string][]byte{"b/c": []byte("2"), "a": []byte("1")}); err != nil || again != folder {
		t.Errorf("%s and then %s, %v", folder, again, err)
	}
	if other, err := Files(cache, "x", map[string][]byte{"a": []byte("1"), "b/c": []byte("3")}); err != nil || other == folder {
		t.Errorf("other contents are in %s, %v", other, err)
	}
}

func TestEnvironmentIsNotInstalled(t *testing.T) {
	if _, _, err := findPython(t.Context()); err != nil {
		t.Skip(err)
	}
	cache := t.TempDir()
	e := Environment{Requirements: []byte("a==1\n")}
	if _, err := e.Installed(t.Context(), cache); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("an environment that was never made: %v", err)
	}
	other := Environment{Requirements: []byte("a==2\n")}
	if e.folder(cache, "3.11") == other.folder(cache, "3.11") || e.folder(cache, "3.11") == e.folder(cache, "3.12") {
		t.Error("another list or version has the same folder")
	}
}

// TestNodeModules: wrong sources are an error, and leave nothing.
func TestNodeModules(t *testing.T) {
	cache := t.TempDir()
	_, err := NodeModules(t.Context(), cache, t.TempDir(), "nothing", t.Output())
	if err == nil || !strings.Contains(err.Error(), "package.json") && !strings.Contains(err.Error(), "Node.js") {
		t.Errorf("without package.json: %v", err)
	}
	if left, err := os.ReadDir(cache); err != nil || len(left) != 0 {
		t.Errorf("%d entries left, %v", len(left), err)
	}
}
