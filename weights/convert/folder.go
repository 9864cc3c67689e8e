package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/internal/filelock"
	"github.com/metalrank/metalrank/weights"
)

// folder is a folder that is being written. It has a temporary name beside its place, to which it is renamed when it is
// whole.
type folder struct {
	place, partial string
	lock           *filelock.Lock
}

// newFolder prepares a folder for place, which must be free. The name of the partial one is always the same for a place,
// so that the remains of a killed process are found. It is locked, so that two processes do not share it.
func newFolder(place string) (*folder, error) {
	place, err := filepath.Abs(place)
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	f := &folder{place: place, partial: filepath.Join(filepath.Dir(place), "."+filepath.Base(place)+".partial")}
	if _, err := os.Lstat(place); err == nil {
		return nil, fmt.Errorf("convert: %s: %w", place, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("convert: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	if f.lock, err = filelock.TryLock(f.partial + ".lock"); errors.Is(err, filelock.ErrHeld) {
		return nil, fmt.Errorf("convert: another process is writing %s: %w", place, err)
	} else if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	err = os.RemoveAll(f.partial)
	if err == nil {
		err = os.Mkdir(f.partial, 0o755)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("convert: %w", err), f.discard())
	}
	return f, nil
}

// create makes a file of the folder.
func (f *folder) create(name string) (*os.File, error) {
	file, err := os.Create(filepath.Join(f.partial, name))
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	return file, nil
}

// publish puts the folder in its place. The name of a folder is durable once its parent is.
func (f *folder) publish() error {
	if err := errors.Join(syncFolder(f.partial), os.Rename(f.partial, f.place)); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	return syncFolder(filepath.Dir(f.place))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// discard removes the folder if it was not published, and releases the lock.
func (f *folder) discard() error {
	return errors.Join(os.RemoveAll(f.partial), os.Remove(f.partial+".lock"), f.lock.Unlock())
}

// besideWeights are the small files of a checkpoint: tokenizer, cards, licences. Weights, indexes of shards and
// config.json are made anew. Files for other programs (onnx, openvino) are in folders, and are not copied.
var besideWeights = []string{
	"*.json", "*.jinja", "*.txt", "*.model", "*.md", "LICENSE*", "LICENCE*", "NOTICE*", "COPYING*",
}

// copySmallFiles writes config.json and copies the other files of a checkpoint except the weights, and a head in modules of
// its own, which stays as it is like a classifier.
func (f *folder) copySmallFiles(src *weights.Checkpoint, config []byte) error {
	if err := f.write("config.json", config); err != nil {
		return err
	}
	for _, name := range src.HeadFiles() {
		data, err := src.File(name)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(f.partial, path.Dir(name)), 0o755); err != nil {
			return fmt.Errorf("convert: %w", err)
		}
		if err := f.write(name, data); err != nil {
			return err
		}
	}
	for _, name := range src.Files() {
		matches := func(pattern string) bool { ok, _ := path.Match(pattern, name); return ok }
		if name == "config.json" || strings.HasSuffix(name, ".index.json") || !slices.ContainsFunc(besideWeights, matches) {
			continue
		}
		data, err := src.File(name)
		if errors.Is(err, weights.ErrInvalid) {
			continue // a folder of that name
		} else if err != nil {
			return err
		}
		if err := f.write(name, data); err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) write(name string, data []byte) (err error) {
	file, err := f.create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Write(data); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	return file.Sync()
}
