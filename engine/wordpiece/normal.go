package wordpiece

import (
	"slices"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Normalizer has the options of a BertNormalizer.
type Normalizer struct {
	CleanText          bool // control characters go, and white space becomes spaces
	HandleChineseChars bool // spaces are put round them
	StripAccents       bool
	Lowercase          bool
}

// Offset is where a part of a text begins and ends, in bytes.
type Offset struct{ Start, Stop int }

// normalizer makes the normal form of one text after another.
type normalizer struct {
	Normalizer
	table *classTable

	text  []byte
	spans []Offset // [len(text)], the characters that the bytes come from; nil unless traced
	trace bool

	pending []pendingMark // which have no order yet
	sources []Offset      // of those that are the first of their character
	last    Offset        // source of the last first one that came out
}

// pendingMark is a character of a combining class that is not 0.
type pendingMark struct {
	r     rune
	order uint8 // combining class
	first bool  // of its decomposition
}

func (n *normalizer) reset() { n.text, n.spans, n.last = n.text[:0], n.spans[:0], Offset{} }

// add appends the normal form of a part of a text, which begins at byte at.
func (n *normalizer) add(part string, at int) {
	for i := 0; i < len(part); {
		b := part[i]
		if b < utf8.RuneSelf {
			n.addASCII(b, Offset{at + i, at + i + 1})
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(part[i:])
		n.addRune(r, Offset{at + i, at + i + size})
		i += size
	}
	n.flush()
}

func (n *normalizer) addASCII(b byte, from Offset) {
	if n.CleanText {
		switch c := n.table.ascii[b]; {
		case c&dropped != 0:
			return
		case c&blank != 0:
			b = ' '
		}
	}
	if len(n.pending) > 0 {
		n.flush()
	}
	if n.Lowercase && 'A' <= b && b <= 'Z' {
		b += 'a' - 'A'
	}
	n.text = append(n.text, b)
	if n.trace {
		n.spans, n.last = append(n.spans, from), from
	}
}

func (n *normalizer) addRune(r rune, from Offset) {
	c := n.table.of(r)
	if n.CleanText {
		switch {
		case c&dropped != 0:
			return
		case c&blank != 0:
			n.addASCII(' ', from)
			return
		}
	}
	if n.HandleChineseChars && isChinese(r) {
		n.addASCII(' ', from)
		n.decompose(r, c, from)
		n.addASCII(' ', from)
		return
	}
	n.decompose(r, c, from)
}

const (
	hangulBase, hangulEnd         = 0xac00, 0xd7a4
	leadBase, vowelBase, tailBase = 0x1100, 0x1161, 0x11a7
	vowelCount, tailCount         = 21, 28
)

// decompose appends a character, in normal form D where accents are stripped.
func (n *normalizer) decompose(r rune, c class, from Offset) {
	switch {
	case !n.StripAccents:
		n.emit(r, c, from)
	case c&decomposes == 0:
		n.order(r, c, from, true)
	case r >= hangulBase && r < hangulEnd:
		s := r - hangulBase
		n.order(leadBase+s/(vowelCount*tailCount), 0, from, true)
		n.order(vowelBase+s/tailCount%vowelCount, 0, from, false)
		if tail := s % tailCount; tail > 0 {
			n.order(tailBase+tail, 0, from, false)
		}
	default:
		var buffer [utf8.UTFMax]byte
		size := utf8.EncodeRune(buffer[:], r)
		first := true
		for rest := norm.NFD.Properties(buffer[:size]).Decomposition(); len(rest) > 0; first = false {
			d, size := utf8.DecodeRune(rest)
			n.order(d, n.table.of(d), from, first)
			rest = rest[size:]
		}
	}
}

// order appends a character of a decomposition, once its place among the marks beside it is known.
func (n *normalizer) order(r rune, c class, from Offset, first bool) {
	if c&combines == 0 {
		if len(n.pending) > 0 {
			n.flush()
		}
		if first {
			n.last = from
		}
		n.emitUnlessMark(r, c, n.last)
		return
	}
	var buffer [utf8.UTFMax]byte
	size := utf8.EncodeRune(buffer[:], r)
	n.pending = append(n.pending, pendingMark{r, norm.NFD.Properties(buffer[:size]).CCC(), first})
	if first {
		n.sources = append(n.sources, from)
	}
}

// flush appends the marks whose order was not known. As in the library, the first characters of decompositions get the
// places in the text one after another, and the others that of the first one before them.
func (n *normalizer) flush() {
	if len(n.pending) == 0 {
		return
	}
	slices.SortStableFunc(n.pending, func(a, b pendingMark) int { return int(a.order) - int(b.order) })
	sources := n.sources
	for _, p := range n.pending {
		if p.first {
			n.last, sources = sources[0], sources[1:]
		}
		n.emitUnlessMark(p.r, n.table.of(p.r), n.last)
	}
	n.pending, n.sources = n.pending[:0], n.sources[:0]
}

func (n *normalizer) emitUnlessMark(r rune, c class, from Offset) {
	if c&mark == 0 {
		n.emit(r, c, from)
	}
}

// emit appends a character in lower case, if that is wanted.
func (n *normalizer) emit(r rune, c class, from Offset) {
	dotted := false
	if n.Lowercase && c&lowers != 0 {
		r, dotted = lower(r)
	}
	n.text = utf8.AppendRune(n.text, r)
	if dotted {
		n.text = utf8.AppendRune(n.text, 0x307)
	}
	if n.trace {
		for len(n.spans) < len(n.text) {
			n.spans = append(n.spans, from)
		}
	}
}
