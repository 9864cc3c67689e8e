package engine

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// maxClusterBytes is the size from which mapCluster gets a cluster in parts.
const maxClusterBytes = 256

// clusterBytes returns the length of the first cluster of text. If graphemes is set, only graphemes matter. Then a long cluster
// may be cut: ends is false if it goes on.
func clusterBytes(text string, graphemes bool) (bytes int, ends bool) {
	a, n := utf8.DecodeRuneInString(text)
	for n < len(text) {
		b, size := utf8.DecodeRuneInString(text[n:])
		switch {
		case apart(a, b, graphemes):
			return n, true
		case graphemes && n >= maxClusterBytes:
			return n, false
		}
		a, n = b, n+size
	}
	return n, true
}

// apart says whether a grapheme certainly ends between two characters (Unicode Standard Annex 29), and, unless graphemes is
// set, that no composition and no run of white space crosses that place. Between a mark and a consonant of some scripts
// there may be a conjunct.
func apart(a, b rune, graphemes bool) bool {
	const conjunct, conjunctEnd = 0x0900, 0x0d7f
	switch {
	case standsAlone(a) && standsAlone(b):
		return (a != '\r' || b != '\n') && (graphemes || !unicode.IsSpace(a) || !unicode.IsSpace(b))
	case graphemes && (isControl(a) || isControl(b)):
		return true
	}
	return standsAlone(b) && (unicode.IsMark(a) || extends(a)) && (b < conjunct || b > conjunctEnd || !unicode.IsLetter(b))
}

// isControl says whether a character is a grapheme by itself, except a carriage return before a line feed.
func isControl(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, breaking) }

// breaking are the format characters (Cf) that are graphemes by themselves.
var breaking = &unicode.RangeTable{R16: []unicode.Range16{
	{0x00ad, 0x00ad, 1}, {0x061c, 0x061c, 1}, {0x180e, 0x180e, 1}, {0x200b, 0x200b, 1}, {0x200e, 0x200f, 1}, {0x202a, 0x202e, 1},
	{0x2060, 0x206f, 1}, {0xfeff, 0xfeff, 1}, {0xfff9, 0xfffb, 1},
}}

func beginsAlone(text string) bool {
	r, _ := utf8.DecodeRuneInString(text)
	return standsAlone(r)
}

// standsAlone says whether a character always begins a grapheme after another such character, or after a mark, and composes
// with nothing before it.
func standsAlone(r rune) bool {
	if r <= 0xffff {
		return aloneTable()[r]
	}
	return findAlone(r)
}

var aloneTable = sync.OnceValue(func() []bool {
	table := make([]bool, 1<<16)
	for r := range table {
		table[r] = findAlone(rune(r))
	}
	return table
})

func findAlone(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= ' ' && r != 0x7f || r == '\t' || r == '\n' || r == '\r'
	}
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S, unicode.Zs, unicode.Co) && !unicode.Is(joining, r)
}

// joining are the letters and symbols that may share a grapheme with the character before or after them. Hangul jamo are among
// them, and characters with a jamo as their normal form KC.
var joining = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x0d4e, 0x0d4e, 1}, {0x0e33, 0x0e33, 1}, {0x0eb3, 0x0eb3, 1}, {0x1100, 0x11ff, 1}, {0x3131, 0x318e, 1},
		{0x3260, 0x327e, 1}, {0xa960, 0xa97c, 1}, {0xd7b0, 0xd7fb, 1}, {0xff9e, 0xffdc, 1},
	},
	R32: []unicode.Range32{
		{0x11000, 0x11fff, 1}, {0x16d40, 0x16d7f, 1}, {0x1f1e6, 0x1f1ff, 1}, {0x1f3fb, 0x1f3ff, 1},
	},
}

// extends says whether a character certainly belongs to the grapheme before it, unless that is a control character.
func extends(r rune) bool {
	const thaiAm, laoAm, nonJoiner, voiced, semiVoiced = 0x0e33, 0x0eb3, 0x200c, 0xff9e, 0xff9f
	return unicode.In(r, unicode.Mn, unicode.Me) || r == thaiAm || r == laoAm || r == nonJoiner || r == voiced || r == semiVoiced
}

// extension returns how many bytes at the beginning of text certainly belong to the grapheme of the character before text,
// which is no control character. It stops once the count is above graphemeBytes.
func extension(text string) (bytes int) {
	for _, r := range text {
		if bytes > graphemeBytes || !extends(r) {
			break
		}
		bytes += utf8.RuneLen(r)
	}
	return bytes
}
