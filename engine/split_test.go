package engine

import (
	"testing"
)

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
