package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/engine"
)

func TestParseResults(t *testing.T) {
	why := "Traceback\n  line"
	got, err := parseResults(strings.NewReader("some library says hello\n" +
		`{"client": "a", "package": "p", "version": "1.2", "error": null}` + "\n\n" +
		`{"client":"b","package":"p","version":"3","error":"Traceback\n  line"}`))
	want := []result{{"a", "p", "1.2", nil}, {"b", "p", "3", &why}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if _, err := parseResults(strings.NewReader(`{"client": 1}`)); err == nil {
		t.Error("no error for a client that is a number")
	}
}

func TestPrintTable(t *testing.T) {
	why := "one\ntwo\n"
	var b bytes.Buffer
	printTable(&b, []result{{"client a", "p", "1", nil}, {"b", "package", "2", &why}})
	want := "client    package  version  result\nclient a  p        1        right\nb         package  2        WRONG\n" +
		"\nb:\n    one\n    two\n\n1 of 2 right\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestEncodeCase(t *testing.T) {
	got, err := encodeCase(&engine.Ranking{Results: []engine.Result{{Index: 1, Score: 0.5}, {Index: 0, Score: 0.25}}})
	if err != nil || !strings.HasSuffix(got, `"ranking":[[1,0.5],[0,0.25]]}`) {
		t.Errorf("%s, %v", got, err)
	}
}

// TestGroups runs programs that stand for groups of clients.
func TestGroups(t *testing.T) {
	report := `echo '{"client":"a","package":"p","version":"1","error":null}'`
	for _, c := range []struct {
		script string
		want   int
		err    string
	}{
		{report, 1, ""},
		{report + "; exit 1", 1, ""}, // one failed, and said so
		{report + "; exit 2", 1, "exit status 2"},
		{"true", 0, "no client reported anything"},
		{report + "; kill -9 $$", 1, "killed"},
	} {
		g := group{"test", []string{"sh", "-c", c.script}, t.TempDir()}
		var log bytes.Buffer
		got, err := g.run(t.Context(), nil, &log)
		if len(got) != c.want || (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, %v", c.script, got, err)
		}
	}
}

func TestGenerated(t *testing.T) {
	match := generated.FindStringSubmatch("Test cases:\n  6180 generated, 6161 passed\n")
	if len(match) != 2 || match[1] != "6180" {
		t.Errorf("%q", match)
	}
}

func TestOptions(t *testing.T) {
	for argument, want := range map[string]string{"": "all", "clients": "clients", "bogus": ""} {
		o := &options{}
		parser, err := kong.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(strings.Fields(argument)); (err != nil) != (want == "") || err == nil && o.Only != want {
			t.Errorf("%q: runs %q, want %q: %v", argument, o.Only, want, err)
		}
	}
}
