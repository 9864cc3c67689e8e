package outfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/internal/filelock"
)

// names lists a folder's files with their contents.
func names(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, e.Name()+"="+string(data))
	}
	return strings.Join(text, " ")
}

func write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, path string) *File {
	t.Helper()
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func closeIt(t *testing.T, f *File, whole bool) {
	t.Helper()
	if err := f.Close(whole); err != nil {
		t.Error(err)
	}
}

// The file has the old bytes or all of the new ones, and no other file is left beside it.
func TestWholeOrNot(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "out")
	for round, text := range []string{"first", "second"} {
		f := create(t, path)
		write(t, f, text)
		if _, err := os.Stat(path); (round == 0) != errors.Is(err, os.ErrNotExist) {
			t.Errorf("before it is whole: %v, %s", err, names(t, folder))
		}
		closeIt(t, f, true)
		if got := names(t, folder); got != "out="+text {
			t.Errorf("after Close: %s", got)
		}
	}
	f := create(t, path)
	write(t, f, "thi")
	closeIt(t, f, false)
	if got := names(t, folder); got != "out=second out.partial=thi" {
		t.Errorf("cut off: %s", got)
	}
	f, err := Resume(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	write(t, f, "rd")
	closeIt(t, f, true)
	if got := names(t, folder); got != "out=third" {
		t.Errorf("taken up: %s", got)
	}
	closeIt(t, create(t, path), false)
	if got := names(t, folder); got != "out=third" {
		t.Errorf("after nothing was written: %s", got)
	}
}

// A second writer is refused by any spelling of the path, and changes nothing.
func TestSecondWriterIsRefused(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "out")
	if err := WriteBytes(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("out", filepath.Join(folder, "link")); err != nil {
		t.Fatal(err)
	}
	f := create(t, path)
	write(t, f, "new")
	for _, other := range []string{path, filepath.Join(folder, ".", "link"), folder + "/../" + filepath.Base(folder) + "/out"} {
		for _, open := range []func(string) (*File, error){Create, Resume} {
			_, err := open(other)
			if !errors.Is(err, filelock.ErrHeld) || !strings.Contains(err.Error(), "another process is writing ") ||
				!strings.Contains(err.Error(), fmt.Sprintf("out.partial.lock is held by process %d (", os.Getpid())) {
				t.Errorf("%s: %v", other, err)
			}
		}
	}
	closeIt(t, f, true)
	if err := Write(filepath.Join(folder, "link"), func(w io.Writer) error { write(t, w, "newer"); return nil }); err != nil {
		t.Error(err)
	}
	if got := names(t, folder); got != "link=newer out=newer" {
		t.Errorf("after both: %s", got)
	}
	if info, err := os.Lstat(filepath.Join(folder, "link")); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is none any more: %v", err)
	}
}

var errTest = errors.New("by a test")

func TestWriteFails(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "out")
	if err := WriteBytes(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	err := Write(path, func(w io.Writer) error { write(t, w, "half"); return errTest })
	if got := names(t, folder); !errors.Is(err, errTest) || got != "out=old" {
		t.Errorf("%v: %s", err, got)
	}
	for _, wrong := range []string{filepath.Join(folder, "none", "out"), folder, filepath.Join(path, "below")} {
		if err := WriteBytes(wrong, nil); err == nil {
			t.Errorf("%s was written", wrong)
		}
	}
	if got := names(t, folder); got != "out=old" {
		t.Errorf("left behind: %s", got)
	}
}

// The rights of a file stay, and a write-protected file is refused.
func TestRights(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteBytes(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if os.Geteuid() == 0 {
		return // root may write any file
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := WriteBytes(path, nil); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a protected file: %v", err)
	}
}

// A device is written to, and not replaced by a file.
func TestDevice(t *testing.T) {
	f := create(t, os.DevNull)
	if !f.Direct() {
		t.Error("a device is to be replaced by a file")
	}
	write(t, f, "x")
	closeIt(t, f, true)
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode()&os.ModeDevice == 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := Write(os.DevNull, func(io.Writer) error { return errTest }); !errors.Is(err, errTest) {
		t.Error(err)
	}
}
