package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMessagesIn(t *testing.T) {
	tests := []struct {
		name, source string
		want         []string
	}{
		{"unary", "[device newFence];", []string{"newFence"}},
		{"parts", "[d newBufferWithLength:size options:0];", []string{"newBufferWithLength:options:"}},
		{"over lines", "[d a:x\n  b:y\n  c:z]", []string{"a:b:c:"}},
		{"nested", "[[NSString alloc] init]", []string{"init", "alloc"}},
		{"nested in an argument", "[a b:[c d:e] f:[g h]]", []string{"b:f:", "d:", "h"}},
		{"to a cast", "[(id<MTLDevice>)device name]", []string{"name"}},
		{"to casts", "[(id)(void*)device supportsFamily:(MTLGPUFamily)family]", []string{"supportsFamily:"}},
		{"to what is in parentheses", "[(device) name]; [(a ? b : c) take:d]", []string{"name", "take:"}},
		{"to what a function returns", "[MTLCreateSystemDefaultDevice() name]", []string{"name"}},
		{"to a member or an element", "[box->queue commit]; [box.queue commit]; [all[0] retain]", []string{"commit", "commit", "retain"}},
		{"to a literal", `[@"x" UTF8String]`, []string{"UTF8String"}},
		{"a conditional argument", "[a b:c ? d : e f:g ?: h]", []string{"b:f:"}},
		{"arithmetic arguments", "[a b:c + d->e f:(T){.x = 1} g:h[i]]", []string{"b:f:g:"}},
		{"a block", "[a onEnd:^(id b) { [b use:c]; }]", []string{"onEnd:", "use:"}},
		{"variable arguments", `[NSString stringWithFormat:@"%d: %s", a, b]`, []string{"stringWithFormat:"}},
		{"named, not sent yet", "@selector(a:b:), @selector(c)", []string{"a:b:", "c"}},
		{"a part with no name", "[a b:c :d e:f]; [a b:c:d]", []string{"b::e:", "b::"}},
		{"an index is none", "x[i]; x[i + 1]; x[f(a)]; int y[4]; int z[max_buffers]; p->q[r->s]", nil},
		{"comments are none", "// [a b]\n/* [c d]\n[e f] */ int x;", nil},
		{"text is none", `char* a = "[b c]"; NSString* d = @"\"[e f]"; char g = '['; [h i];`, []string{"i"}},
		{"the preprocessor is none", "#define A [b c]\n#define D \\\n  [e f]\n  # pragma [g h]\n[i j];", []string{"j"}},
		{"unfinished", "[a b:[c d", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, m := range messagesIn("x.m", test.source) {
				got = append(got, m.selector)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.source, diff)
			}
		})
	}
}

func TestMessageLines(t *testing.T) {
	got := messagesIn("x.m", "/* one\ntwo */\n[a b];\n\n  [c\n d:e];")
	want := []message{{"x.m", 3, "b"}, {"x.m", 5, "d:"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(message{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// readShim returns the driver's Objective-C.
func readShim(t *testing.T) (path, source string) {
	t.Helper()
	found, err := filepath.Glob("../../../metal/darwin/*.m")
	if err != nil || len(found) != 1 {
		t.Fatalf("the driver has the Objective-C files %q, want one (%v)", found, err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return found[0], string(text)
}

// change returns source with one text in it replaced by another.
func change(t *testing.T, source, from, to string) string {
	t.Helper()
	if !strings.Contains(source, from) {
		t.Fatalf("there is no %q to change any more", from)
	}
	return strings.Replace(source, from, to, 1)
}

func TestShimSendsWhatIsRecorded(t *testing.T) {
	recorded, err := recordedSelectors()
	if err != nil {
		t.Fatal(err)
	}
	path, source := readShim(t)
	compare := func(source string) []string { return compareSelectors(messagesIn(path, source), recorded) }
	for _, problem := range compare(source) {
		t.Error(problem)
	}
	for _, to := range []string{"waitOnFence:", "waitForFence:now:", "waitForfence:"} {
		problems := compare(change(t, source, "waitForFence:", to))
		if text := strings.Join(problems, "\n"); !strings.Contains(text, path+":") ||
			!strings.Contains(text, "is not among Apple's") || !strings.Contains(text, `nothing sends "waitForFence:"`) {
			t.Errorf("waitForFence: made %s: found %q, want the new one and that the old one is gone", to, problems)
		}
	}
}

func TestParseSelectors(t *testing.T) {
	got, err := parseSelectors("# comment\n\nNSError  code  Foundation/NSError.hpp\n")
	want := []record{{3, "NSError", "code", "Foundation/NSError.hpp"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{})); diff != "" || err != nil {
		t.Errorf("error %v, (-want +got):\n%s", err, diff)
	}
	if _, err := parseSelectors("NSError code"); err == nil || !strings.Contains(err.Error(), recordFile+":1: 2 fields") {
		t.Errorf("a line with no source: error %v", err)
	}
}

func FuzzMessagesIn(f *testing.F) {
	f.Add("[[(id<A>)b c:d ? e : f] g];")
	f.Add("@selector(a:[b->c.d")
	f.Fuzz(func(t *testing.T, source string) {
		for _, m := range messagesIn("x.m", source) {
			if m.line < 1 || m.line > strings.Count(source, "\n")+1 {
				t.Errorf("line %d of %d", m.line, strings.Count(source, "\n")+1)
			}
		}
	})
}
