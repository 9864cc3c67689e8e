package dialect

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/msl"
)

// lines is a source split into the files that metal.LoadSource joined.
type lines struct {
	main  string // the file that has the kernels
	text  string
	order []string // files, as they first appear
	files map[string][]string
}

// lineDirective matches the #line directives of metal.LoadSource.
var lineDirective = regexp.MustCompile(`^#line (\d+) (".*")$`)

// splitLines assigns every line of source to the file and line that the #line directives give.
func splitLines(source metal.Source) *lines {
	s := &lines{main: source.Name, text: source.Text, files: map[string][]string{}}
	if s.main == "" {
		s.main = "source.metal"
	}
	file, line := s.main, 1
	for text := range strings.Lines(source.Text) {
		text = strings.TrimRight(text, "\r\n")
		if directive := lineDirective.FindStringSubmatch(text); directive != nil {
			if name, err := strconv.Unquote(directive[2]); err == nil {
				file = name
				line, _ = strconv.Atoi(directive[1]) // digits
			}
			continue
		}
		if s.files[file] == nil {
			s.order = append(s.order, file)
		}
		for len(s.files[file]) < line {
			s.files[file] = append(s.files[file], "")
		}
		s.files[file][line-1] = text
		line++
	}
	return s
}

// at is a line of a file, from 1; empty where there is none.
func (s *lines) at(file string, line int) string {
	if all := s.files[file]; line >= 1 && line <= len(all) {
		return all[line-1]
	}
	return ""
}

// column returns the column of the token that contains a byte of the preprocessed text, in the line that the author
// wrote: the preprocessor keeps lines, not columns. A token from a macro gets the line's first column that isn't blank.
func (c *checker) column(at int) int {
	position := c.file.Position(at)
	original := c.source.at(position.File, position.Line)
	start := strings.LastIndexByte(c.file.Text[:at], '\n') + 1
	i := slices.IndexFunc(c.tokens, func(t msl.Token) bool { return t.Span.End > at })
	if i < 0 {
		return 1
	}
	before := 0 // equal tokens before it in the line
	for j := i - 1; j >= 0 && c.tokens[j].Span.Start >= start; j-- {
		if c.tokens[j].Text == c.tokens[i].Text {
			before++
		}
	}
	for _, t := range msl.Scan(original).Tokens() {
		if t.Text != c.tokens[i].Text {
			continue
		}
		if before == 0 {
			return t.Span.Start + 1
		}
		before--
	}
	return len(original) - len(strings.TrimLeft(original, " \t")) + 1
}
