package httpapi

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// Keys are the API keys that a server takes. They may be replaced while it serves. The keys themselves are not kept, only
// their hashes.
type Keys struct{ current atomic.Pointer[[]hashedKey] }

// Key is an API key and the name of whoever has it, which metrics show and by which the engine is shared. Several keys may
// have one name.
type Key struct{ Name, Key string }

// String keeps the key out of whatever is printed.
func (k Key) String() string { return k.Name + ":…" }

// GoString does likewise for %#v.
func (k Key) GoString() string { return k.String() }

type hashedKey struct {
	name string
	hash [sha256.Size]byte
}

// NewKeys returns Keys that are these.
func NewKeys(keys []Key) (*Keys, error) {
	k := &Keys{}
	return k, k.Replace(keys)
}

// Replace makes keys those that requests are compared with from now on. On an error what there was stays.
func (k *Keys) Replace(keys []Key) error {
	if err := checkKeys(keys); err != nil {
		return err
	}
	var hashed []hashedKey
	for _, key := range keys {
		hashed = append(hashed, hashedKey{key.Name, sha256.Sum256([]byte(key.Key))})
	}
	k.current.Store(&hashed)
	return nil
}

// checkKeys reports what is wrong with keys without saying what they are.
func checkKeys(keys []Key) error {
	if len(keys) == 0 {
		return errors.New("httpapi: there are no API keys")
	}
	if len(keys) > maxKeys {
		return fmt.Errorf("httpapi: %d API keys, the limit is %d", len(keys), maxKeys)
	}
	seen := map[string]int{}
	for i, key := range keys {
		if err := key.check(); err != nil {
			return fmt.Errorf("httpapi: API key %d: %w", i+1, err)
		}
		if before, ok := seen[key.Key]; ok {
			return fmt.Errorf("httpapi: API keys %d and %d are the same", before, i+1)
		}
		seen[key.Key] = i + 1
	}
	return nil
}

const (
	maxKeys        = 1000 // each is compared with every request's: 20 µs at most
	maxNameBytes   = 64
	minKeyBytes    = 16 // what nobody guesses
	maxKeyBytes    = 512
	maxKeyFileLine = 1 << 10
)

// check says nothing of what a name is, either: it is the key where somebody wrote key:name.
func (k Key) check() error {
	switch {
	case k.Name == "" || len(k.Name) > maxNameBytes || strings.ContainsFunc(k.Name, notInName):
		return fmt.Errorf("the name has %d bytes, want 1 to %d letters, digits, dots, hyphens or underscores", len(k.Name), maxNameBytes)
	case len(k.Key) < minKeyBytes || len(k.Key) > maxKeyBytes:
		return fmt.Errorf("the key has %d bytes, want %d to %d", len(k.Key), minKeyBytes, maxKeyBytes)
	case strings.ContainsFunc(k.Key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the key has white space in it, or what isn't ASCII")
	}
	return nil
}

func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
}

// ReadKeys reads lines of name:key. Empty ones and those that begin with # are skipped. An error says which line it is
// about, and nothing of what is in it.
func ReadKeys(r io.Reader) ([]Key, error) {
	var keys []Key
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxKeyFileLine)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, key, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("line %d has no colon, want name:key", n)
		}
		k := Key{strings.TrimSpace(name), strings.TrimSpace(key)}
		if err := k.check(); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		keys = append(keys, k)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d is longer than %d bytes", n+1, maxKeyFileLine)
	}
	return keys, lines.Err()
}

// find returns the name of a key. How long it takes does not depend on which key it is, or how much of one is right.
func (k *Keys) find(key []byte) (name string, ok bool) {
	hash := sha256.Sum256(key)
	keys := *k.current.Load()
	at := -1
	for i := range keys {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(hash[:], keys[i].hash[:]), i, at)
	}
	if at < 0 {
		return "", false
	}
	return keys[at].name, true
}

// guard makes a handler that wants one of the server's keys, where it has any.
func (s *Server) guard(h handler) handler {
	keys := s.config.Keys
	if keys == nil {
		return h
	}
	return func(ctx *fasthttp.RequestCtx) *failure {
		name, f := keys.authorise(&ctx.Request.Header)
		if f != nil {
			return f
		}
		ctx.SetUserValue(clientValue, name)
		return h(ctx)
	}
}

// authorise returns the name of the key that a request has: in Authorization, with Bearer before it or, as LlamaIndex
// sends it, bare; or in X-API-Key.
func (k *Keys) authorise(header *fasthttp.RequestHeader) (name string, f *failure) {
	given := false
	for _, field := range [...]string{"X-Api-Key", fasthttp.HeaderAuthorization} {
		value := bytes.TrimSpace(header.Peek(field))
		if len(value) >= len(bearer) && bytes.EqualFold(value[:len(bearer)], []byte(bearer)) {
			value = bytes.TrimSpace(value[len(bearer):])
		}
		if len(value) == 0 {
			continue
		}
		given = true
		if name, ok := k.find(value); ok {
			return name, nil
		}
	}
	if given {
		f = failf(kindUnauthorized, "the API key is not one of this server's")
	} else {
		f = failf(kindUnauthorized, "there is no API key: send it as Authorization: Bearer KEY, or as X-API-Key: KEY")
	}
	f.header, f.value = fasthttp.HeaderWWWAuthenticate, challenge
	return "", f
}

const (
	bearer    = "Bearer "
	challenge = `Bearer realm="metalrank"`
)
