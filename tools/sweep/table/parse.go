package table

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Parse reads a document. It takes only the form that String writes, so that it overlooks nothing. Errors name the line.
func Parse(text string) (*Document, error) {
	p := &parser{lines: strings.Split(text, "\n")}
	d := &Document{}
	if strings.HasPrefix(p.peek(), "# ") {
		d.Title = strings.TrimPrefix(p.next(), "# ")
		p.want("")
		d.Intro = p.next()
		p.want("")
		p.want(rule)
		p.want("")
	}
	for p.err == nil {
		d.Sections = append(d.Sections, p.section())
		p.want("")
		p.want(rule)
		p.want("")
		if p.at == len(p.lines) {
			break
		}
	}
	if p.err == nil && (d.String() != text) {
		p.err = fmt.Errorf("table: it would not be written so: a number has another form, or the title is empty")
	}
	if p.err != nil {
		return nil, p.err
	}
	return d, nil
}

// parser goes through the lines; after the first error it does nothing more.
type parser struct {
	lines []string
	at    int
	err   error
}

func (p *parser) peek() string {
	if p.at < len(p.lines) {
		return p.lines[p.at]
	}
	return ""
}

func (p *parser) next() string {
	line := p.peek()
	if p.at >= len(p.lines) {
		p.fail("the document ends")
	}
	p.at++
	return line
}

func (p *parser) want(line string) {
	if got := p.next(); got != line {
		p.fail("%.80q, want %q", got, line)
	}
}

// fail records the first error, about the line that was read last.
func (p *parser) fail(format string, arguments ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("table: line %d: %s", p.at, fmt.Sprintf(format, arguments...))
	}
}

var (
	heading = regexp.MustCompile(`^## (.*\S) \((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\)$`)
	about   = regexp.MustCompile("^\\*\\*Backend:\\*\\* `([^`]*)` \\| \\*\\*Device:\\*\\* `([^`]*)` \\| \\*\\*Dynamic Batching:\\*\\* `(True|False)`$")
	summary = regexp.MustCompile(`^\*\*Summary:\*\* BestTP=([\d.]+) \| AvgTP=([\d.]+) \| AvgLat=([\d.]+)ms \| AvgP99Lat=([\d.]+)ms$`)
)

// groups returns the matches of the pattern's groups in the next line, or empty strings if the line doesn't match.
func (p *parser) groups(pattern *regexp.Regexp, want string) []string {
	line := p.next()
	if found := pattern.FindStringSubmatch(line); found != nil {
		return found[1:]
	}
	p.fail("%.80q, want %s", line, want)
	return make([]string, pattern.NumSubexp())
}

func (p *parser) section() Section {
	found := p.groups(heading, "## NAME (YYYY-MM-DD HH:MM:SS)")
	s := Section{Name: found[0]}
	if p.err == nil {
		var err error
		if s.Time, err = time.Parse(timeLayout, found[1]); err != nil {
			p.fail("%q is no time", found[1])
		}
	}
	p.want("")
	found = p.groups(about, "**Backend:** `…` | **Device:** `…` | **Dynamic Batching:** `True` or `False`")
	s.Backend, s.Device, s.Dynamic = found[0], found[1], found[2] == "True"
	p.want("")
	p.want(header)
	p.want(underline)
	for p.err == nil && strings.HasPrefix(p.peek(), "|") {
		s.Rows = append(s.Rows, p.row())
	}
	if p.at+1 < len(p.lines) && strings.HasPrefix(p.lines[p.at+1], "**Summary:**") {
		p.want("")
		found = p.groups(summary, "**Summary:** BestTP=… | AvgTP=… | AvgLat=…ms | AvgP99Lat=…ms")
		s.Summary = &Summary{
			BestTP: p.number(found[0]), AvgTP: p.number(found[1]), AvgLat: p.number(found[2]), AvgP99: p.number(found[3]),
		}
	}
	return s
}

func (p *parser) row() Row {
	line := p.next()
	fields := strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "| "), " |"), " | ")
	if len(fields) != 12 {
		p.fail("%d columns, want 12", len(fields))
		return Row{}
	}
	r := Row{Batch: p.count(fields[0]), Concurrency: p.count(fields[1])}
	if r.Failed = fields[2] == "ERROR"; r.Failed {
		if got := r.String(); got != line {
			p.fail("%.80q, want %q", line, got)
		}
		return r
	}
	r.Pairs = p.count(fields[2])
	seconds, found := strings.CutSuffix(fields[3], "s")
	if !found {
		p.fail("time is %q, want seconds as in 1.5s", fields[3])
	}
	r.Seconds = p.number(seconds)
	for i, f := range []*float64{&r.LatAvg, &r.LatP50, &r.LatP95, &r.LatP99, &r.TPAvg, &r.TPP50, &r.TPP95, &r.TPP99} {
		*f = p.number(fields[4+i])
	}
	return r
}

func (p *parser) count(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || strconv.Itoa(n) != text {
		p.fail("%.40q is no count", text)
	}
	return n
}

// number takes a number with one decimal.
func (p *parser) number(text string) float64 {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || x < 0 || math.IsInf(x, 0) || strconv.FormatFloat(x, 'f', 1, 64) != text {
		p.fail("%.40q is no number with one decimal", text)
		return 0
	}
	return x
}
