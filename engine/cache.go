package engine

import (
	"container/list"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

// tokenCache keeps the token ids of recent texts: documents come back with other queries. It evicts the least recently used
// text. A nil cache keeps nothing.
type tokenCache struct {
	seed         maphash.Seed
	shards       [cacheShards]cacheShard
	hits, misses atomic.Uint64
}

// cacheShards is large enough that goroutines seldom wait for each other.
const cacheShards = 16

type cacheShard struct {
	mu    sync.Mutex
	most  int                      // bytes
	bytes int                      // guarded by mu
	by    map[string]*list.Element // guarded by mu
	order list.List                // of *cachedText, the latest first; guarded by mu
}

type cachedText struct {
	text  string
	ids   []int32
	whole bool // ids are all of the text's, and not only the first
}

// entryBytes is the memory of an entry besides its text and ids: its parts of the map and the list, and allocation
// overhead.
const entryBytes = 200

func (c *cachedText) bytes() int { return entryBytes + len(c.text) + 4*len(c.ids) }

// newTokenCache returns a cache of at most that size, or nil if that is too small for anything.
func newTokenCache(sizeBytes int) *tokenCache {
	if sizeBytes < cacheShards*entryBytes {
		return nil
	}
	c := &tokenCache{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].most = sizeBytes / cacheShards
		c.shards[i].by = map[string]*list.Element{}
	}
	return c
}

func (c *tokenCache) shard(text string) *cacheShard {
	return &c.shards[maphash.String(c.seed, text)%cacheShards]
}

// get returns the ids of text, or at least the first need of them. The caller must not change them.
func (c *tokenCache) get(text string, need int) ([]int32, bool) {
	if c == nil {
		return nil, false
	}
	s := c.shard(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if element, ok := s.by[text]; ok {
		if e := entryOf(element); e.whole || len(e.ids) >= need {
			s.order.MoveToFront(element)
			c.hits.Add(1)
			return e.ids, true
		}
	}
	c.misses.Add(1)
	return nil, false
}

// put keeps ids, which the caller must not change any more, and a copy of text.
func (c *tokenCache) put(text string, ids []int32, whole bool) {
	if c == nil {
		return
	}
	e := &cachedText{text: text, ids: ids, whole: whole}
	s := c.shard(text)
	if e.bytes() > s.most/4 {
		return // it would evict many texts that are more likely to come back
	}
	e.text = strings.Clone(text) // text may be a part of a request's body
	s.mu.Lock()
	defer s.mu.Unlock()
	if element, ok := s.by[text]; ok {
		s.remove(element)
	}
	s.by[e.text] = s.order.PushFront(e)
	s.bytes += e.bytes()
	for s.bytes > s.most {
		s.remove(s.order.Back())
	}
}

func entryOf(element *list.Element) *cachedText {
	e, _ := element.Value.(*cachedText) // nothing else is put there
	return e
}

func (s *cacheShard) remove(element *list.Element) {
	e := entryOf(element)
	s.order.Remove(element)
	delete(s.by, e.text)
	s.bytes -= e.bytes()
}

func (c *tokenCache) stats() (hits, misses uint64, sizeBytes int) {
	if c == nil {
		return 0, 0, 0
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		sizeBytes += s.bytes
		s.mu.Unlock()
	}
	return c.hits.Load(), c.misses.Load(), sizeBytes
}
