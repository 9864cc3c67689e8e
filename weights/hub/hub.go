// Package hub fetches checkpoints from the Hugging Face hub, or a mirror of it, into the cache that huggingface_hub
// keeps: the same folders, names, links and locks, so that what either has fetched the other finds.
//
// The package must not know what is in the files beyond which of them make up a checkpoint.
package hub

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// What a caller may need to tell apart.
var (
	// ErrNotFound marks a repository, a revision or a file that is not there, or not for this user.
	ErrNotFound = errors.New("hub: not found")
	// ErrDenied marks what needs a token, or one with more rights.
	ErrDenied = errors.New("hub: access denied")
	// ErrDamaged marks data that are not what the hub says that they are.
	ErrDamaged = errors.New("hub: damaged download")
	// ErrNotCached is returned where the cache alone would do, and does not have the checkpoint.
	ErrNotCached = errors.New("hub: not in the cache")
)

// Settings are where things are. The zero value of a field is huggingface_hub's default.
type Settings struct {
	Endpoint string // https://huggingface.co
	Cache    string // ~/.cache/huggingface/hub
	Token    string // sent to Endpoint's host and no other
	Offline  bool   // nothing is fetched
}

// FromEnvironment reads HF_ENDPOINT, HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, HF_TOKEN and HF_HUB_OFFLINE as
// huggingface_hub does (constants.py in 1.4).
func FromEnvironment(getenv func(string) string) Settings {
	home := getenv("HF_HOME")
	if home == "" {
		cache := getenv("XDG_CACHE_HOME")
		if cache == "" {
			user, _ := os.UserHomeDir() // without one, paths are relative
			cache = filepath.Join(user, ".cache")
		}
		home = filepath.Join(cache, "huggingface")
	}
	offline := strings.ToUpper(getenv("HF_HUB_OFFLINE"))
	return Settings{
		Endpoint: strings.TrimRight(cmp.Or(getenv("HF_ENDPOINT"), "https://huggingface.co"), "/"),
		Cache:    cmp.Or(getenv("HF_HUB_CACHE"), filepath.Join(home, "hub")),
		Token:    strings.TrimSpace(getenv("HF_TOKEN")),
		Offline:  offline == "1" || offline == "ON" || offline == "YES" || offline == "TRUE",
	}
}

// Name is a repository of models at a revision.
type Name struct {
	Owner, Model string
	Revision     string // a branch, a tag or a commit; "main" if nothing was said
}

// One part is what the hub allows in a name (validate_repo_id in huggingface_hub); a revision may have slashes.
var (
	namePattern     = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9._-]{0,95})/([A-Za-z0-9_][A-Za-z0-9._-]{0,95})(?:@([A-Za-z0-9_][A-Za-z0-9._/-]{0,199}))?$`)
	commitPattern   = regexp.MustCompile(`^[0-9a-f]{40}$`)
	blobPattern     = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)
	forbiddenInName = []string{"..", "--", "//", "/."}
)

// ParseName reads OWNER/MODEL or OWNER/MODEL@REVISION.
func ParseName(text string) (Name, error) {
	parts := namePattern.FindStringSubmatch(text)
	if parts == nil || strings.HasSuffix(text, "/") {
		return Name{}, fmt.Errorf("hub: name %.200q, want OWNER/MODEL or OWNER/MODEL@REVISION", text)
	}
	for _, bad := range forbiddenInName {
		if strings.Contains(text, bad) {
			return Name{}, fmt.Errorf("hub: name %.200q, want none of %q in it", text, forbiddenInName)
		}
	}
	return Name{parts[1], parts[2], cmp.Or(parts[3], "main")}, nil
}

// String is what ParseName reads.
func (n Name) String() string {
	if n.Revision == "main" {
		return n.Owner + "/" + n.Model
	}
	return n.Owner + "/" + n.Model + "@" + n.Revision
}
