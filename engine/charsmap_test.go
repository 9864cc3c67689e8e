package engine

import (
	"encoding/base64"
	"encoding/binary"
	"testing"
)

// FuzzCharsmap reads maps that contradict themselves, too.
func FuzzCharsmap(f *testing.F) {
	valid, err := base64.StdEncoding.DecodeString(readCharsmap(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(valid, "ab\u0301")
	f.Add(binary.LittleEndian.AppendUint32(nil, 8), "a")
	f.Add([]byte("\x04\x00\x00\x00\xff\xff\xff\xff"), "\xff")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		m := newCharsmap([]stage{{Type: "Precompiled", Charsmap: data}})
		if m == nil {
			return
		}
		if bytes, normal, ok := m.find(text); bytes > len(text) || !ok && (bytes > 0 || normal != "") {
			t.Errorf("%q: %d bytes become %q, %t", text, bytes, normal, ok)
		}
	})
}
