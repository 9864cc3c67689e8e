package wordpiece

import (
	_ "embed" // classes.txt
	"fmt"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// class is a set of properties of a character.
type class uint8

const (
	dropped    class = 1 << iota // clean_text drops it: Cc, Cf, Co, U+FFFD
	blank                        // White_Space
	punct                        // a word by itself: P and the symbols of ASCII
	mark                         // Mn, which strip_accents drops
	decomposes                   // it has a canonical decomposition
	combines                     // its combining class is not 0
	lowers                       // it has another lower case
)

// classesText has the classes of all characters as the Rust library has them: a line for each place where they change, the
// first character and its class in hexadecimal. They are kept here since its crates and each release of Go have tables of
// different versions of Unicode. TestClasses compares them with the library and writes the file.
//
//go:embed classes.txt
var classesText string

type page [256]class

// classTable has the classes of all characters in pages of 256. Pages of one class are shared.
type classTable struct {
	ascii [utf8.RuneSelf]class
	pages [(unicode.MaxRune + 1) / 256]*page
}

var classes = sync.OnceValue(func() *classTable {
	t := &classTable{}
	uniform := map[class]*page{}
	at, value := 0, class(0)
	fill := func(end int) {
		for at < end {
			i, rest := at/256, at%256
			if rest == 0 && end-at >= 256 {
				if uniform[value] == nil {
					uniform[value] = &page{}
					for j := range uniform[value] {
						uniform[value][j] = value
					}
				}
				t.pages[i] = uniform[value]
				at += 256
				continue
			}
			if rest == 0 {
				t.pages[i] = &page{}
			}
			t.pages[i][rest] = value
			at++
		}
	}
	for line := range strings.Lines(classesText) {
		var first int
		var next class
		if _, err := fmt.Sscanf(line, "%x %x", &first, &next); err != nil {
			panic(fmt.Sprintf("BUG: classes.txt: %q: %v", line, err))
		}
		fill(first)
		value = next
	}
	fill(unicode.MaxRune + 1)
	copy(t.ascii[:], t.pages[0][:])
	return t
})

func (t *classTable) of(r rune) class { return t.pages[uint32(r)>>8][r&0xff] }

// newCase returns the lower case of the letters that Unicode 16 and 17 gave one. Go 1.26 doesn't know it, nor does a library that
// an older Rust compiled.
func newCase(r rune) (lower rune, ok bool) {
	switch {
	case r == 0xa7cb:
		return 0x264, true
	case r == 0xa7dc:
		return 0x19b, true
	case r == 0x1c89, r == 0xa7cc, r == 0xa7ce, r == 0xa7d2, r == 0xa7d4, r == 0xa7da:
		return r + 1, true
	case r >= 0x10d50 && r <= 0x10d65: // Garay
		return r + 0x20, true
	case r >= 0x16ea0 && r <= 0x16eb8: // Beria Erfe
		return r + 0x1b, true
	}
	return 0, false
}

// lower returns the lower case of a character that has the class lowers. That of U+0130 alone is two characters, i and U+0307,
// which dotted says.
func lower(r rune) (lower rune, dotted bool) {
	if r == 0x130 {
		return 'i', true
	}
	if lower, ok := newCase(r); ok {
		return lower, false
	}
	return unicode.ToLower(r), false
}

// isChinese has the ranges of the library (normalizers/bert.rs), which leaves out a part of extension E.
func isChinese(r rune) bool {
	switch {
	case r < 0x3400:
		return false
	case r <= 0x4dbf, r >= 0x4e00 && r <= 0x9fff, r >= 0xf900 && r <= 0xfaff,
		r >= 0x20000 && r <= 0x2a6df, r >= 0x2a700 && r <= 0x2b73f, r >= 0x2b740 && r <= 0x2b81f,
		r >= 0x2b920 && r <= 0x2ceaf, r >= 0x2f800 && r <= 0x2fa1f:
		return true
	}
	return false
}
