package dialect

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// edit replaces the bytes from start to end.
type edit struct {
	start, end int
	text       string
}

// rewritten is a text after edits, which knows where each of its bytes comes from.
type rewritten struct {
	text     string
	segments []segment
	before   *rewritten // the text that was edited; nil: the preprocessed text
}

// segment says where the bytes from `at` on come from: a piece that was kept from `from` on, or an insertion there.
type segment struct {
	at, from int
	inserted bool
}

// rewrite makes edits in text. They must not overlap; of two at one place, the first comes first.
func rewrite(text string, before *rewritten, edits []edit) *rewritten {
	slices.SortStableFunc(edits, func(a, b edit) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
	})
	r := &rewritten{before: before}
	var out strings.Builder
	at := 0
	for _, e := range edits {
		r.segments = append(r.segments, segment{at: out.Len(), from: at})
		out.WriteString(text[at:e.start])
		r.segments = append(r.segments, segment{at: out.Len(), from: e.start, inserted: true})
		out.WriteString(e.text)
		at = e.end
	}
	r.segments = append(r.segments, segment{at: out.Len(), from: at})
	out.WriteString(text[at:])
	r.text = out.String()
	return r
}

// origin returns the byte of the preprocessed text that a byte of the rewritten one comes from.
func (r *rewritten) origin(at int) int {
	i := sort.Search(len(r.segments), func(i int) bool { return r.segments[i].at > at }) - 1
	s := r.segments[i]
	from := s.from
	if !s.inserted {
		from += at - s.at
	}
	if r.before != nil {
		return r.before.origin(from)
	}
	return from
}

// offset returns the byte at a line and a column, both from 1.
func offset(text string, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		next := strings.IndexByte(text[at:], '\n')
		if next < 0 {
			break
		}
		at += next + 1
	}
	return min(at+column-1, len(text))
}
