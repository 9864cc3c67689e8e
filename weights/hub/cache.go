package hub

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The cache of huggingface_hub (its guide "Understand caching"):
//
//	models--OWNER--MODEL/refs/REVISION            the commit that a branch or tag pointed to when it was fetched
//	models--OWNER--MODEL/blobs/ETAG               content, named by its SHA-256 (LFS) or its git SHA-1
//	models--OWNER--MODEL/blobs/ETAG.incomplete    content so far
//	models--OWNER--MODEL/snapshots/COMMIT/FILE    a link to ../../blobs/ETAG
//	.locks/models--OWNER--MODEL/ETAG.lock         held while a blob is fetched

// repository returns the folder of a repository in the cache.
func (s Settings) repository(n Name) string {
	return filepath.Join(s.Cache, "models--"+n.Owner+"--"+n.Model)
}

func (s Settings) snapshot(n Name, commit string) string {
	return filepath.Join(s.repository(n), "snapshots", commit)
}

func (s Settings) blob(n Name, etag string) string {
	return filepath.Join(s.repository(n), "blobs", etag)
}

// Find returns the folder of a checkpoint that is in the cache, and [ErrNotCached] if it is not. Nothing is fetched.
func (s Settings) Find(n Name) (string, error) {
	commit := n.Revision
	if !commitPattern.MatchString(commit) {
		data, err := os.ReadFile(filepath.Join(s.repository(n), "refs", filepath.FromSlash(n.Revision)))
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%w: %s (%s)", ErrNotCached, n, s.Cache)
		} else if err != nil {
			return "", fmt.Errorf("hub: %w", err)
		}
		if commit = strings.TrimSpace(string(data)); !commitPattern.MatchString(commit) {
			return "", fmt.Errorf("hub: %s: the cache says it is commit %.60q, want 40 hexadecimal digits", n, commit)
		}
	}
	dir := s.snapshot(n, commit)
	if !hasConfigAndWeights(dir) {
		return "", fmt.Errorf("%w: %s: %s has no config.json with weights", ErrNotCached, n, dir)
	}
	return dir, nil
}

// hasConfigAndWeights reports whether a snapshot has config.json and weights. Missing shards are found when it is opened.
func hasConfigAndWeights(dir string) bool {
	has := func(name string) bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil }
	return has("config.json") && slices.ContainsFunc(weightFiles, has)
}

// hasRegularFile reports whether a snapshot has a file itself and no link, as on a file system without links, or after
// a copy that resolved them.
func (s Settings) hasRegularFile(n Name, commit string, f remoteFile) bool {
	info, err := os.Lstat(filepath.Join(s.snapshot(n, commit), f.name))
	return err == nil && info.Mode().IsRegular() && info.Size() == f.size
}

// link makes snapshots/COMMIT/FILE point to a blob, in one step. Where the file system has no links (exFAT), the blob
// becomes the file, as huggingface_hub does it.
func (c *client) link(n Name, commit string, f remoteFile) error {
	path := filepath.Join(c.snapshot(n, commit), filepath.FromSlash(f.name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	up := strings.Repeat("../", strings.Count(f.name, "/")) // out of the folders of a file below the snapshot
	target := filepath.Join(filepath.FromSlash(up), "..", "..", "blobs", f.etag)
	if current, err := os.Readlink(path); err == nil && current == target {
		return nil
	}
	temporary := path + "." + rand.Text() + ".tmp"
	if err := c.symlink(target, temporary); err != nil {
		// Another process may have moved the blob at the same time.
		if moveErr := os.Rename(c.blob(n, f.etag), path); moveErr != nil && !c.hasRegularFile(n, commit, f) {
			return fmt.Errorf("hub: %w", errors.Join(err, moveErr))
		}
		return nil
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(fmt.Errorf("hub: %w", err), removeIfThere(temporary))
	}
	return nil
}

// setRef records the commit of a branch or tag, once all of its files are there.
func (s Settings) setRef(n Name, commit string) error {
	if n.Revision == commit {
		return nil
	}
	path := filepath.Join(s.repository(n), "refs", filepath.FromSlash(n.Revision))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	temporary := path + "." + rand.Text() + ".tmp"
	if err := errors.Join(os.WriteFile(temporary, []byte(commit), 0o644), os.Rename(temporary, path)); err != nil {
		return errors.Join(fmt.Errorf("hub: %w", err), removeIfThere(temporary))
	}
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
