package engine

import (
	"encoding/binary"
	"strings"
)

// charsmap is a normaliser of SentencePiece. It maps short texts to their normal forms. The format is that of spm_precompiled
// 0.1.4: the size of the trie in bytes, the trie, and the normal forms, each of which ends in NUL.
type charsmap struct {
	units []uint32 // a double array as in Darts: https://github.com/s-yata/darts-clone
	texts string   // the normal forms
}

// graphemeBytes is the size of the largest grapheme that the library looks up whole (normalizers/precompiled.rs).
const graphemeBytes = 5

// newCharsmap returns nil if the normalisers do more than one charsmap, apart from stripping and joining spaces.
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

// find looks for the shortest entry at the beginning of text. It returns the entry's length and its normal form; the length is
// 0 if there is no entry. ok is false if the map contradicts itself, which ends the library's call.
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
