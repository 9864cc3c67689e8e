package python

import (
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	var log Tail
	for range 3 {
		if n, err := log.Write([]byte(strings.Repeat("x", tailBytes-1) + "\n")); n != tailBytes || err != nil {
			t.Fatal(n, err)
		}
	}
	if _, err := log.Write([]byte("the end\n")); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); len(text) > tailBytes || !strings.HasSuffix(text, "the end") {
		t.Errorf("%d bytes, ending in %q", len(text), text[len(text)-20:])
	}
}
