package main

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The compiler checks our messages against the stub, and this test checks the stub against the record of Apple's.
func TestStubDeclaresWhatIsRecorded(t *testing.T) {
	var declared []string
	for _, header := range []string{"Foundation.framework/Headers/Foundation.h", "Metal.framework/Headers/Metal.h"} {
		source, err := fs.ReadFile(sdkFiles, path.Join("sdk", frameworkFolder, header))
		if err != nil {
			t.Fatal(err)
		}
		declared = append(declared, declarations(string(source))...)
	}
	records, err := recordedSelectors()
	if err != nil {
		t.Fatal(err)
	}
	var recorded []string
	for _, r := range records {
		if !strings.HasPrefix(r.source, "objc/") { // Apple's own header, by way of zig
			recorded = append(recorded, r.class+" "+r.selector)
		}
	}
	if diff := cmp.Diff(unique(recorded), unique(declared)); diff != "" {
		t.Errorf("%s (-) and sdk/ (+) differ:\n%s", recordFile, diff)
	}
}

// declarations returns the methods and properties that a header declares, each as "class selector".
func declarations(source string) []string {
	var found []string
	class := "" // or protocol; empty: outside of any
	tokens := tokenize(source)
	for i := 0; i < len(tokens); i++ {
		switch text := tokens[i].text; {
		case text == "@interface" || text == "@protocol":
			class = tokens[i+1].text
		case text == "@end":
			class = ""
		case class == "":
		case text == "@property" || text == "+" || text == "-":
			end := i
			for tokens[end].text != ";" {
				end++
			}
			selector := tokens[end-1].text
			if text != "@property" {
				selector = methodName(tokens[closing(tokens, i+1)+1 : end])
			}
			found = append(found, class+" "+selector)
			i = end
		}
	}
	return found
}

// methodName returns the selector of a method's declaration, after the type of its result.
func methodName(declaration []lexeme) string {
	if len(declaration) == 1 {
		return declaration[0].text
	}
	var selector string
	for i := 0; i < len(declaration); i++ {
		if declaration[i].text == "(" {
			i = closing(declaration, i)
		} else if i+1 < len(declaration) && declaration[i+1].text == ":" {
			selector += declaration[i].text + ":"
		}
	}
	return selector
}

func TestDeclarations(t *testing.T) {
	got := declarations(`@class C;
@interface A<__covariant T> : B
+ (instancetype)make;
- (id<P>)from:(void (^)(int x, T))block to:(int)b;
@property (class, readonly) T* first;
@end
int f(int a);
@protocol P <Q>
- (void)stop;
@end`)
	want := []string{"A make", "A from:to:", "A first", "P stop"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWriteSDK(t *testing.T) {
	darwinkit := t.TempDir()
	for framework, protocols := range map[string]string{
		"foundation": "o = @protocol(NSCoding);\n o = @protocol(NSObject);\n",
		"metal":      "o = @protocol(MTLBuffer);\n o = @protocol(MTLTexture);\n",
	} {
		folder := filepath.Join(darwinkit, "macos", framework)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "protocols.gen.m"), []byte(protocols), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cache := filepath.Join(t.TempDir(), "not made yet")
	folder, err := writeSDK(cache, darwinkit)
	if err != nil {
		t.Fatal(err)
	}
	for framework, want := range map[string]string{"Foundation": "NSCoding", "Metal": "MTLTexture"} {
		header := filepath.Join(folder, frameworkFolder, framework+".framework", "Headers", "protocols.h")
		text, err := os.ReadFile(header)
		if err != nil {
			t.Fatal(err)
		}
		// A protocol that is declared elsewhere would be declared twice.
		if got := strings.Count(string(text), "@protocol"); got != 1 || !strings.Contains(string(text), "@protocol "+want+" ") {
			t.Errorf("%s declares %d protocols, want just %s:\n%s", header, got, want, text)
		}
	}
	again, err := writeSDK(cache, darwinkit)
	if err != nil || again != folder {
		t.Errorf("written again: %s and error %v, want %s", again, err, folder)
	}
	left, err := os.ReadDir(cache)
	if err != nil || len(left) != 1 {
		t.Errorf("the cache has %d entries and error %v, want only the stub SDK", len(left), err)
	}
	// Other text must get another folder: the go command's cache goes by the folder's name.
	metal := filepath.Join(darwinkit, "macos", "metal", "protocols.gen.m")
	if err := os.WriteFile(metal, []byte("o = @protocol(MTLHeap);"), 0o644); err != nil {
		t.Fatal(err)
	}
	if other, err := writeSDK(cache, darwinkit); err != nil || other == folder {
		t.Errorf("with other protocols: %s and error %v, want another folder", other, err)
	}
}
