package httpapi

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// Keys are the API keys that a server takes. They may be replaced while it serves. The keys themselves are not kept, only
// their hashes.
type Keys struct{ current atomic.Pointer[keySet] }

// Key is an API key and the name of its owner. Metrics show the name, and the engine shares by it. Several keys may have
// one name, and then have one set of limits: one of them is enough to set a limit, and those that set it must agree.
type Key struct {
	Name, Key string
	// Concurrency is how many requests with keys of that name may be in flight at once; one more is refused with 429.
	// Default: as many as Config.MaxConcurrentRequests. Bounds: 1 to 65,536.
	Concurrency int
	// Share is the name's share of a busy model, as a multiple of the others'. Default 1. Bounds: 1/16 to 16.
	Share float64
}

// String keeps the key out of printed text.
func (k Key) String() string { return k.Name + ":…" }

// GoString does likewise for %#v.
func (k Key) GoString() string { return k.String() }

// keySet has all keys in use at one time.
type keySet struct {
	hashed  []hashedKey
	clients map[string]*client // by name
}

type hashedKey struct {
	grant grant
	hash  [sha256.Size]byte
}

// NewKeys returns Keys with these keys.
func NewKeys(keys []Key) (*Keys, error) {
	k := &Keys{}
	return k, k.Replace(keys)
}

// Replace replaces the keys that requests are compared with. On an error the old ones stay.
func (k *Keys) Replace(keys []Key) error {
	if err := checkKeys(keys); err != nil {
		return err
	}
	byName, err := clientLimitsOf(keys)
	if err != nil {
		return err
	}
	set := &keySet{clients: map[string]*client{}}
	before := k.current.Load()
	for name := range byName {
		set.clients[name] = &client{name: name}
		if before != nil && before.clients[name] != nil {
			set.clients[name] = before.clients[name]
		}
	}
	for _, key := range keys {
		set.hashed = append(set.hashed, hashedKey{grant{set.clients[key.Name], byName[key.Name]}, sha256.Sum256([]byte(key.Key))})
	}
	k.current.Store(set)
	return nil
}

// clientLimitsOf returns the limits of each name.
func clientLimitsOf(keys []Key) (map[string]clientLimits, error) {
	byName := map[string]clientLimits{}
	for i, key := range keys {
		q := byName[key.Name]
		if q.concurrency != 0 && key.Concurrency != 0 && q.concurrency != key.Concurrency || q.share != 0 && key.Share != 0 && q.share != key.Share {
			return nil, fmt.Errorf("httpapi: API key %d: the limits differ from those of another key of the same name", i+1)
		}
		byName[key.Name] = clientLimits{cmp.Or(q.concurrency, key.Concurrency), cmp.Or(q.share, key.Share)}
	}
	return byName, nil
}

// checkKeys returns an error if keys are invalid. The error does not show the keys.
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
	minKeyBytes    = 16 // too long to guess
	maxKeyBytes    = 512
	maxKeyFileLine = 1 << 10
	maxShare       = 16 // the engine's bound
)

// check validates the key. The error does not show the name either: it is the key if somebody wrote key:name.
func (k Key) check() error {
	switch {
	case k.Name == "" || len(k.Name) > maxNameBytes || strings.ContainsFunc(k.Name, notInName):
		return fmt.Errorf("the name has %d bytes, want 1 to %d letters, digits, dots, hyphens or underscores", len(k.Name), maxNameBytes)
	case len(k.Key) < minKeyBytes || len(k.Key) > maxKeyBytes:
		return fmt.Errorf("the key has %d bytes, want %d to %d", len(k.Key), minKeyBytes, maxKeyBytes)
	case strings.ContainsFunc(k.Key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the key has white space in it, or what isn't ASCII")
	case k.Concurrency < 0 || k.Concurrency > maxMaxConcurrentRequests:
		return fmt.Errorf("concurrency is %d, want 1 to %d", k.Concurrency, maxMaxConcurrentRequests)
	case k.Share != 0 && !(k.Share >= 1./maxShare && k.Share <= maxShare):
		return fmt.Errorf("share is %g, want 1/%d to %d", k.Share, maxShare, maxShare)
	}
	return nil
}

func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
}

// ReadKeys reads lines of name:key, optionally followed by concurrency=N and share=W. Empty lines and those that
// begin with # are skipped. An error has the line's number, but no name or key from it.
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
		k, err := readKey(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		keys = append(keys, k)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d is longer than %d bytes", n+1, maxKeyFileLine)
	}
	return keys, lines.Err()
}

func readKey(line string) (Key, error) {
	name, rest, ok := strings.Cut(line, ":")
	if !ok {
		return Key{}, errors.New("no colon, want name:key")
	}
	words := strings.Fields(rest)
	k := Key{Name: strings.TrimSpace(name)}
	if len(words) > 0 {
		k.Key = words[0]
		for _, word := range words[1:] {
			if err := k.readLimit(word); err != nil {
				return Key{}, err
			}
		}
	}
	return k, k.check()
}

func (k *Key) readLimit(word string) (err error) {
	name, value, _ := strings.Cut(word, "=")
	var zero bool
	switch name {
	case "concurrency":
		k.Concurrency, err = strconv.Atoi(value)
		zero = k.Concurrency == 0
	case "share":
		k.Share, err = strconv.ParseFloat(value, 64)
		zero = k.Share == 0
	default: // word may be a part of the key
		return errors.New("the key has white space in it, after which only concurrency=N and share=W may stand")
	}
	if err != nil || zero {
		return fmt.Errorf("%s has a value that is no number above 0", name)
	}
	return nil
}

// find returns the grant of a key. Its running time does not depend on which key it is, or how much of one is right.
func (k *Keys) find(key []byte) (g *grant, ok bool) {
	hash := sha256.Sum256(key)
	keys := k.current.Load().hashed
	at := -1
	for i := range keys {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(hash[:], keys[i].hash[:]), i, at)
	}
	if at < 0 {
		return nil, false
	}
	return &keys[at].grant, true
}

// authorise returns the grant of a request's key. The key is in Authorization, with Bearer before it or, as LlamaIndex
// sends it, bare; or in X-API-Key.
func (k *Keys) authorise(header *fasthttp.RequestHeader) (g *grant, f *failure) {
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
		if g, ok := k.find(value); ok {
			return g, nil
		}
	}
	if given {
		f = failf(kindUnauthorized, "the API key is not one of this server's")
	} else {
		f = failf(kindUnauthorized, "there is no API key: send it as Authorization: Bearer KEY, or as X-API-Key: KEY")
	}
	f.header, f.value = fasthttp.HeaderWWWAuthenticate, challenge
	return nil, f
}

const (
	bearer    = "Bearer "
	challenge = `Bearer realm="metalrank"`
)
