package kernels

// AppendItems appends the work of attention of every token to those tokens of its sequence that are not farther away than
// window; 0: to all. starts is [B+1]: the first row of each sequence, and the number of rows.
func AppendItems(items []AttentionItem, starts []int32, window int) []AttentionItem {
	for i := 1; i < len(starts); i++ {
		begin, end := int(starts[i-1]), int(starts[i])
		for q := begin; q < end; q += ItemQueries {
			items = append(items, newItem(begin, end, q, q, min(end-q, ItemQueries), window))
		}
	}
	return items
}

// AppendSingleItems appends the work of attention of the first token of every sequence alone, or of the last; q and out have
// one row per sequence.
func AppendSingleItems(items []AttentionItem, starts []int32, window int, last bool) []AttentionItem {
	for i := 1; i < len(starts); i++ {
		begin, end := int(starts[i-1]), int(starts[i])
		at := begin
		if last {
			at = end - 1
		}
		items = append(items, newItem(begin, end, at, i-1, 1, window))
	}
	return items
}

// newItem is the work of queries from row `first` of k on, in a sequence from begin to end; row is the first's in q.
func newItem(begin, end, first, row, queries, window int) AttentionItem {
	if window > 0 {
		begin, end = max(begin, first-window), min(end, first+queries+window)
	}
	return AttentionItem{Key: uint32(begin), Keys: uint32(end - begin), Query: uint32(row), Queries: uint32(queries)}
}

// CausalItems is the work of causal attention.
type CausalItems struct {
	Items    []AttentionItem
	Prefixes []AttentionPrefix // of each item
}

// Append appends the work of every token, or of the last token of every sequence alone, for which q and out have one row per
// sequence. Sequence i begins with the tokens of sequence prefixes[i], unless that is -1; no prefixes: none does. A query sees
// keys that are not farther away than window; 0: all before it.
func (c *CausalItems) Append(starts, prefixes []int32, window int, last bool) {
	for i := 1; i < len(starts); i++ {
		begin, end := int(starts[i-1]), int(starts[i])
		var prefix AttentionPrefix
		if len(prefixes) > 0 && prefixes[i-1] >= 0 {
			at := prefixes[i-1]
			prefix = AttentionPrefix{Key: uint32(starts[at]), Keys: uint32(starts[at+1] - starts[at])}
		}
		if last {
			c.add(begin, end-1, i-1, 1, window, prefix)
			continue
		}
		for q := begin; q < end; q += ItemQueries {
			c.add(begin, q, q, min(end-q, ItemQueries), window, prefix)
		}
	}
}

// windowStep is a multiple of all blocks of keys in attention.metal: keys that a window leaves out are that many, so that blocks
// begin where they do without it, and a query's bits don't depend on those beside it.
const windowStep = 64

// add appends the work of queries from row `first` of k on, in a sequence that begins at begin; row is the first's in q.
func (c *CausalItems) add(begin, first, row, queries, window int, prefix AttentionPrefix) {
	skipped, prefixed := 0, int(prefix.Keys) // keys that no query sees; of the prefix
	if window > 0 {
		skipped = max(prefixed+first-begin-window, 0) / windowStep * windowStep
	}
	ofPrefix := min(skipped, prefixed)
	prefix.Key, prefix.Keys = prefix.Key+uint32(ofPrefix), prefix.Keys-uint32(ofPrefix)
	c.Items = append(c.Items, AttentionItem{
		Key: uint32(begin + skipped - ofPrefix), Keys: uint32(prefixed + first - begin + queries - skipped), Query: uint32(row), Queries: uint32(queries),
	})
	c.Prefixes = append(c.Prefixes, prefix)
}
