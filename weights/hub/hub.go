// Package hub fetches checkpoints from the Hugging Face hub, or a mirror of it, into the cache that huggingface_hub
// keeps: the same folders, names, links and locks, so that either finds the files that the other has fetched.
//
// The package must not know the content of the files, only which of them make up a checkpoint.
package hub

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Errors that a caller may need to tell apart.
var (
	// ErrNotFound marks a repository, a revision or a file that is not there, or not for this user.
	ErrNotFound = errors.New("hub: not found")
	// ErrDenied marks a request that needs a token, or one with more rights.
	ErrDenied = errors.New("hub: access denied")
	// ErrDamaged marks data that differ from the size or the hash that the hub gives.
	ErrDamaged = errors.New("hub: damaged download")
	// ErrNotCached is returned where only the cache is used, and it does not have the checkpoint.
	ErrNotCached = errors.New("hub: not in the cache")
)

// Settings are the places of the hub and the cache. FromEnvironment fills in huggingface_hub's defaults, which stand
// beside the fields.
type Settings struct {
	Endpoint string // https://huggingface.co
	Cache    string // ~/.cache/huggingface/hub
	Token    string // sent to Endpoint's host and no other
	Offline  bool   // nothing is fetched
}

// FromEnvironment reads the variables of huggingface_hub, with the same precedence (constants.py and utils/_auth.py in
// 2.4): HF_ENDPOINT, HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, HF_TOKEN, HUGGING_FACE_HUB_TOKEN,
// HF_TOKEN_PATH, the token file that `hf auth login` writes, HF_HUB_DISABLE_IMPLICIT_TOKEN, HF_HUB_OFFLINE and
// TRANSFORMERS_OFFLINE. A variable that is empty counts as not set.
func FromEnvironment(getenv func(string) string) Settings {
	user := getenv("HOME")
	if user == "" {
		user, _ = os.UserHomeDir() // without one, paths are relative
	}
	path := func(or string, names ...string) string {
		for _, name := range names {
			if value := getenv(name); value != "" {
				return expand(value, user, getenv)
			}
		}
		return or
	}
	cache := cmp.Or(getenv("XDG_CACHE_HOME"), filepath.Join(user, ".cache"))
	home := path(expand(filepath.Join(cache, "huggingface"), user, getenv), "HF_HOME")
	token := cleanToken(cmp.Or(getenv("HF_TOKEN"), getenv("HUGGING_FACE_HUB_TOKEN")))
	if token == "" {
		token = readToken(path(filepath.Join(home, "token"), "HF_TOKEN_PATH"))
	}
	if isTrue(getenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
		token = ""
	}
	return Settings{
		Endpoint: strings.TrimRight(cmp.Or(getenv("HF_ENDPOINT"), "https://huggingface.co"), "/"),
		Cache:    path(filepath.Join(home, "hub"), "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"),
		Token:    token,
		Offline:  isTrue(cmp.Or(getenv("HF_HUB_OFFLINE"), getenv("TRANSFORMERS_OFFLINE"))),
	}
}

func isTrue(value string) bool {
	return slices.Contains([]string{"1", "ON", "YES", "TRUE"}, strings.ToUpper(value))
}

// expand replaces ~ at the beginning, and variables that are set; others stay as they are.
func expand(path, user string, getenv func(string) string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || os.IsPathSeparator(rest[0])) {
		path = user + rest
	}
	return variablePattern.ReplaceAllStringFunc(path, func(text string) string {
		return cmp.Or(getenv(strings.Trim(text, "${}")), text)
	})
}

var variablePattern = regexp.MustCompile(`\$(?:\w+|\{\w+\})`)

// maxTokenBytes bounds the size of a token file; a token has some 40 bytes.
const maxTokenBytes = 64 << 10

// readToken returns the token in a file, or nothing if it can't be read: most models need no token.
func readToken(path string) string {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxTokenBytes {
		return ""
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return cleanToken(string(data))
}

// cleanToken drops the white space that files and editors add to a token.
func cleanToken(token string) string {
	return strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(token))
}

// Name is a repository of models at a revision.
type Name struct {
	Owner, Model string
	Revision     string // a branch, a tag or a commit; "main" if none was given
}

// Each part follows the hub's rules for names (validate_repo_id in huggingface_hub); a revision may have slashes.
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

// String returns the form that ParseName reads.
func (n Name) String() string {
	if n.Revision == "main" {
		return n.Owner + "/" + n.Model
	}
	return n.Owner + "/" + n.Model + "@" + n.Revision
}
