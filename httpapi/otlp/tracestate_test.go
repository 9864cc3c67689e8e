package otlp

import (
	"strings"
	"testing"
	"time"
)

func TestParseState(t *testing.T) {
	many := strings.Repeat("a=b,", 31)
	for header, want := range map[string]string{
		"": "", "a=b": "a=b", " a=b ,\t2c@sys=~!  x": "a=b,2c@sys=~!  x", "a=b,,c=d,": "a=b,c=d", "a=b|c=d": "a=b,c=d",
		"a": "", "=b": "", "a=": "", "A=b": "", "@a=b": "", "a=b=c": "", "a=\x7f": "", "a=\xff": "", "a=é": "", "a=b,a=c": "", "ä=b": "",
		"a b=c": "", many: "", "k=" + strings.Repeat("v", 256): "k=" + strings.Repeat("v", 256), "k=" + strings.Repeat("v", 257): "",
		strings.Repeat("k", 257) + "=v": "", strings.Repeat("x", 513): "",
	} {
		var lines [][]byte
		for line := range strings.SplitSeq(header, "|") {
			lines = append(lines, []byte(line))
		}
		if got := ParseState(lines); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
	var members []string
	for _, a := range "abcdefgh" {
		for _, b := range "abcd" {
			members = append(members, string([]rune{a, b})+"=1")
		}
	}
	header := strings.Join(members, ",")
	if got := ParseState([][]byte{[]byte(header)}); got != header {
		t.Errorf("32 members: %q", got)
	}
	if got := ParseState([][]byte{[]byte(header + ",z=1")}); got != "" {
		t.Errorf("33 members: %q", got)
	}
}

// TestBadSpan sends a good span beside one with texts that are not UTF-8 and an attribute of no known type.
func TestBadSpan(t *testing.T) {
	c := startCollector(t, 200)
	e := c.exporter(t, Config{})
	now := time.Now()
	e.Send([]Span{
		{Name: "good", Start: now, End: now},
		{Name: "\xff", Start: now, End: now, Context: Context{State: "\xfe"}, Error: "\xfd",
			Attributes: []Attribute{{"\xff", "\xff"}, {"odd", 1.5}, {"even", int64(2)}}},
	})
	closeSoon(t, e)
	if len(c.bodies) != 1 || e.Dropped() != 0 {
		t.Fatalf("%d messages, %d dropped", len(c.bodies), e.Dropped())
	}
	spans := parse(t, c.bodies[0]).GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()
	if len(spans) != 2 || spans[0].GetName() != "good" || spans[1].GetName() != "\ufffd" || len(spans[1].GetAttributes()) != 2 {
		t.Errorf("got %v", spans)
	}
}
