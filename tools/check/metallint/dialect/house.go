package dialect

import (
	"regexp"
	"strings"
)

// Greatest lengths of a file and of a kernel's body, in lines.
const (
	maxFileLines = 300
	maxBodyLines = 150
)

// headings must stand in the comment that a file of kernels begins with.
var headings = []string{"Buffers:", "Grid:", "Needs:"}

var (
	conditional = regexp.MustCompile(`^\s*#\s*(if|ifdef|ifndef|elif)\b`)
	// driverMacro matches macros that tell one driver or host from another. __METAL_VERSION__ belongs to the language.
	driverMacro = regexp.MustCompile(`(?i)\b(\w*_)?sim(ulat\w*|_\w*)?\b|__METAL__|__APPLE__|__linux__|__x86_64__|__aarch64__|__clang\w*__`)
	fastMath    = regexp.MustCompile(`\bfast\s*::`)
)

// houseRules checks the rules that need only the text as it was written.
func (c *checker) houseRules() {
	for _, file := range c.source.order {
		text := c.source.files[file]
		if len(text) > maxFileLines {
			c.reportLine(file, maxFileLines+1, HouseLength, "%d lines, a file has at most %d", len(text), maxFileLines)
		}
		for i, line := range text {
			code, _, explained := strings.Cut(line, "//")
			if conditional.MatchString(code) && driverMacro.MatchString(code) {
				c.reportLine(file, i+1, HouseSimulator, "%s: every driver gets the same text", strings.TrimSpace(line))
			}
			explained = explained || i > 0 && strings.HasPrefix(strings.TrimSpace(text[i-1]), "//")
			if fastMath.MatchString(code) && !explained {
				c.reportLine(file, i+1, HouseFast, "fast:: without a comment that says why")
			}
		}
	}
}

// bodies checks the rules that need the kernels' places: the length of their bodies, and the comment at the file's top.
func (c *checker) bodies() {
	if len(c.file.Kernels) == 0 {
		return
	}
	for _, k := range c.file.Kernels {
		first, last := c.file.Position(k.Body.Start), c.file.Position(k.Body.End-1)
		if lines := last.Line - first.Line + 1; lines > maxBodyLines {
			c.report(k.Body.Start, HouseLength, "the body of %s has %d lines, want at most %d", k.Name, lines, maxBodyLines)
		}
	}
	var header strings.Builder
	for _, line := range c.source.files[c.source.main] {
		if !strings.HasPrefix(line, "//") {
			break
		}
		header.WriteString(line + "\n")
	}
	for _, heading := range headings {
		if !strings.Contains(header.String(), heading) {
			c.reportLine(c.source.main, 1, HouseHeader, "the comment at the top does not say %s", heading)
		}
	}
}
