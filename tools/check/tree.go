package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// mostBytes is the limit of the stripped program with the embedded model: it must stay a download that nobody minds.
const mostBytes = 54_000_000

// size looks at bin/metalrank, which build.sh has built before.
func (c *checker) size(io.Writer) error {
	info, err := os.Stat(filepath.Join("bin", "metalrank"))
	if err != nil {
		return err
	}
	if info.Size() > mostBytes {
		return fmt.Errorf("bin/metalrank has %d bytes, want at most %d", info.Size(), mostBytes)
	}
	return nil
}

// treeState returns a digest of content and mode for each file that git does not ignore.
func (c *checker) treeState() (map[string]string, error) {
	files, err := c.files()
	if err != nil {
		return nil, err
	}
	state := map[string]string{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(file)
		if err != nil {
			return nil, err
		}
		state[file] = fmt.Sprintf("%v %x", info.Mode(), sha256.Sum256(content))
	}
	return state, nil
}

// tree makes the generated files anew, and wants every file as it was before the checks.
func (c *checker) tree(out io.Writer) error {
	if err := c.command(out, nil, "go", "generate", "./..."); err != nil {
		return err
	}
	after, err := c.treeState()
	if err != nil {
		return err
	}
	changed := changes(c.before, after)
	for _, file := range changed {
		fmt.Fprintln(out, file)
	}
	if len(changed) > 0 {
		return errors.New("these files changed while the checks ran")
	}
	return nil
}

// changes returns the files that are new, gone or different, sorted.
func changes(before, after map[string]string) []string {
	var files []string
	for file, state := range after {
		if before[file] != state {
			files = append(files, file)
		}
	}
	for file := range maps.Keys(before) {
		if _, there := after[file]; !there {
			files = append(files, file)
		}
	}
	slices.Sort(files)
	return files
}
