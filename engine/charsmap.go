package engine

import (
	"encoding/binary"
	"strings"
)

// charsmap is a normaliser of SentencePiece: texts, and what becomes of them. The format is that of spm_precompiled 0.1.4: how
// many bytes the trie has, the trie, and the texts, each of which ends in NUL.
type charsmap struct {
	units []uint32 // a double array as in Darts: https://github.com/s-yata/darts-clone
	texts string
}

// graphemeBytes is the most that a grapheme has which the library looks up whole (normalizers/precompiled.rs).
const graphemeBytes = 5

// newCharsmap returns nil where normalisers do more to a text than a charsmap does, besides its spaces.
func newCharsmap(normalizers []stage) *charsmap {
	if len(normalizers) == 0 || normalizers[0].Type != "Precompiled" || len(normalizers[0].Charsmap) < 4 {
		return nil
	}
	for i := range normalizers[1:] {
		if n := &normalizers[1+i]; n.Type != "Strip" && (n.Type != "Replace" || !n.joinsSpaces()) {
			return nil
		}
	}
	data := normalizers[0].Charsmap
	trie, rest := binary.LittleEndian.Uint32(data), data[4:]
	if uint64(trie) > uint64(len(rest)) || trie < 4 {
		return nil
	}
	m := &charsmap{units: make([]uint32, trie/4), texts: string(rest[trie/4*4:])}
	for i := range m.units {
		m.units[i] = binary.LittleEndian.Uint32(rest[4*i:])
	}
	return m
}

// find returns the shortest entry that text begins with, of 0 bytes where there is none, and what becomes of it. ok is false
// where the map contradicts itself, which ends the library's call.
func (m *charsmap) find(text string) (bytes int, normal string, ok bool) {
	const leaf, label = 1 << 8, 1<<31 | 0xff
	offset := func(unit uint32) uint32 { return unit >> 10 << (unit & (1 << 9) >> 6) }
	at := offset(m.units[0])
	for i := range len(text) {
		at ^= uint32(text[i])
		if int64(at) >= int64(len(m.units)) {
			return 0, "", false
		}
		unit := m.units[at]
		if unit&label != uint32(text[i]) {
			return 0, "", true
		}
		if at ^= offset(unit); unit&leaf == 0 {
			continue
		}
		if int64(at) >= int64(len(m.units)) {
			return 0, "", false
		}
		begin := int64(m.units[at] & (1<<31 - 1))
		if begin > int64(len(m.texts)) {
			return 0, "", false
		}
		normal, _, _ = strings.Cut(m.texts[begin:], "\x00")
		return i + 1, normal, true
	}
	return 0, "", true
}
