package engine

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSplitAtSpace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-zé \t\n\r\x{3000}]*`).Draw(t, "text")
		size := rapid.IntRange(1, 20).Draw(t, "size")
		head, tail := splitAtSpace(text, size)
		if head+tail != text {
			t.Fatalf("%q + %q is not %q", head, tail, text)
		}
		if tail == "" {
			return
		}
		if len(head) < size {
			t.Fatalf("head has %d bytes, want at least %d", len(head), size)
		}
		if !strings.ContainsRune(asciiSpace, rune(tail[0])) {
			t.Fatalf("cut before %q", tail[0])
		}
	})
}

func TestClean(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain", "plain"},
		{"nul\x00here", "nul\uFFFDhere"},
		{"bad\xff\xfeutf", "bad\uFFFDutf"},
		{"", ""},
	} {
		if got := clean(c.in); got != c.want {
			t.Errorf("clean(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}
