package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/httpapi"
)

// keyFlags hold the keys that clients need.
type keyFlags struct {
	single     []httpapi.Key // of text-embeddings-inference's flag
	APIKeyFile string        `name:"api-key-file" help:"Who may use the server: lines of name:key, after which concurrency=N (requests under way) and share=W (of a busy model, in times of what others get) may stand; # begins a comment. Read again on SIGHUP. Keys may be in METALRANK_API_KEYS, too, with commas between them. Default: everybody." type:"path" placeholder:"FILE"`
}

// apiKeysVariable holds keys as the file does, with commas for line ends. It has no flag: other users can see flags.
const apiKeysVariable = "METALRANK_API_KEYS"

// readKeys returns the keys of the file and of the environment, or none where neither is set.
func (f *keyFlags) readKeys() ([]httpapi.Key, error) {
	keys := slices.Clone(f.single)
	if f.APIKeyFile != "" {
		file, err := os.Open(f.APIKeyFile)
		if err != nil {
			return nil, fmt.Errorf("--api-key-file: %w", err)
		}
		defer file.Close()
		listed, err := httpapi.ReadKeys(file)
		if err != nil {
			return nil, fmt.Errorf("--api-key-file %s: %w", f.APIKeyFile, err)
		}
		if len(listed) == 0 { // else an empty file would let everybody in
			return nil, fmt.Errorf("--api-key-file %s: there are no keys in it", f.APIKeyFile)
		}
		keys = append(keys, listed...)
	}
	if text := os.Getenv(apiKeysVariable); text != "" {
		more, err := httpapi.ReadKeys(strings.NewReader(strings.ReplaceAll(text, ",", "\n")))
		if err == nil && len(more) == 0 {
			err = errors.New("there are no keys in it")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", apiKeysVariable, err)
		}
		keys = append(keys, more...)
	}
	return keys, nil
}

// describeKeys returns the names of keys and their limits, without the keys.
func describeKeys(keys []httpapi.Key) string {
	limits := map[string]string{}
	for _, key := range keys {
		if key.Concurrency != 0 {
			limits[key.Name] += fmt.Sprintf(" concurrency=%d", key.Concurrency)
		}
		if key.Share != 0 {
			limits[key.Name] += fmt.Sprintf(" share=%g", key.Share)
		}
		limits[key.Name] += ""
	}
	if len(limits) == 0 {
		return "none: everybody may use the server"
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		names = append(names, name+limits[name])
	}
	return strings.Join(names, ", ")
}

// openKeys returns the keys that clients need, or nil if there are none, and the same keys as a list.
func (f *keyFlags) openKeys() (keys *httpapi.Keys, list []httpapi.Key, err error) {
	list, err = f.readKeys()
	if err == nil && len(list) > 0 {
		keys, err = httpapi.NewKeys(list)
	}
	return keys, list, err
}

// reloadKeys reads the keys again. If that fails, the old keys stay valid.
func (f *keyFlags) reloadKeys(ctx context.Context, keys *httpapi.Keys, logger *slog.Logger) {
	if keys == nil {
		return
	}
	list, err := f.readKeys()
	if err == nil {
		err = keys.Replace(list)
	}
	if err != nil {
		logger.ErrorContext(ctx, "API keys not read again; those from before stay", "error", err)
		return
	}
	logger.InfoContext(ctx, "API keys read again", "keys", len(list))
}
