package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"slices"
	"strings"
)

// point is a mark, with the text that a browser shows when the mouse is over it.
type point struct {
	x, y  float64
	about string
}

// series is a set of points with one name and colour.
type series struct {
	name   string
	color  int // of the palette
	dashed bool
	points []point
	front  []point // the points to join, where not all are joined
}

// axes say how a chart of points is drawn.
type axes struct {
	x, y  string // the quantity, with its unit
	logX  bool
	lines bool // marks of a series are joined
	ticks []float64
}

// Sizes of a chart, in units of its view box.
const (
	width, height           = 560.0, 300.0
	left, right, top, below = 58.0, 14.0, 12.0, 44.0
	palette                 = 8
)

// scale maps values to positions.
type scale struct {
	low, high, from, to float64
	log                 bool
}

func (s scale) at(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		v, low, high = math.Log(v), math.Log(low), math.Log(high)
	}
	if high == low {
		return (s.from + s.to) / 2
	}
	return s.from + (v-low)/(high-low)*(s.to-s.from)
}

// roundTicks returns about n round values from 0 to at least most.
func roundTicks(most float64, n int) []float64 {
	if !(most > 0) || math.IsInf(most, 0) {
		most = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(most/float64(n))))
	for _, m := range []float64{1, 2, 5, 10} {
		if most/(step*m) <= float64(n) {
			step *= m
			break
		}
	}
	var ticks []float64
	for i := 0.0; ; i++ {
		ticks = append(ticks, i*step)
		if i*step >= most {
			return ticks
		}
	}
}

// logTicks returns 1, 2, 5, 10, … round low and high, both positive.
func logTicks(low, high float64) []float64 {
	var ticks []float64
	for decade := math.Pow(10, math.Floor(math.Log10(low))); decade <= high*10; decade *= 10 {
		for _, m := range []float64{1, 2, 5} {
			v := decade * m
			if v*2.5 > low && v < high*2.5 {
				ticks = append(ticks, v)
			}
		}
	}
	return ticks
}

// plot draws series of points; an empty string where there are none.
func plot(all []series, a axes) template.HTML {
	var xs, ys []float64
	for _, s := range all {
		for _, p := range s.points {
			xs, ys = append(xs, p.x), append(ys, p.y)
		}
	}
	if len(xs) == 0 {
		return ""
	}
	yTicks := roundTicks(slices.Max(ys), 5)
	y := scale{0, yTicks[len(yTicks)-1], height - below, top, false}
	xTicks := a.ticks
	x := scale{slices.Min(xs), slices.Max(xs), left + 12, width - right - 12, a.logX}
	if a.logX {
		xTicks = logTicks(slices.Min(xs), slices.Max(xs))
		x.low, x.high = min(xTicks[0], x.low), max(xTicks[len(xTicks)-1], x.high)
	}
	var b strings.Builder
	begin(&b, a, y, yTicks)
	for _, v := range xTicks {
		fmt.Fprintf(&b, `<text class="t" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, x.at(v), height-below+16,
			axisLabel(v))
	}
	for _, s := range all {
		drawSeries(&b, s, a, x, y)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String() + legend(all)) //nolint:gosec // names are escaped where they are written
}

func drawSeries(b *strings.Builder, s series, a axes, x, y scale) {
	dash := ""
	if s.dashed {
		dash = " d"
	}
	joined := s.front
	if a.lines {
		joined = s.points
	}
	if len(joined) > 1 {
		var path []string
		for _, p := range joined {
			path = append(path, fmt.Sprintf("%.1f,%.1f", x.at(p.x), y.at(p.y)))
		}
		fmt.Fprintf(b, `<polyline class="l c%d%s" points="%s"/>`, s.color%palette, dash, strings.Join(path, " "))
	}
	for _, p := range s.points {
		fmt.Fprintf(b, `<circle class="m c%d%s" cx="%.1f" cy="%.1f" r="3.5"><title>%s</title></circle>`,
			s.color%palette, dash, x.at(p.x), y.at(p.y), html.EscapeString(p.about))
	}
}

// begin draws the frame, the grid, and the names of the axes.
func begin(b *strings.Builder, a axes, y scale, yTicks []float64) {
	fmt.Fprintf(b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s over %s">`, width, height, html.EscapeString(a.y), html.EscapeString(a.x))
	for _, v := range yTicks {
		at := y.at(v)
		fmt.Fprintf(b, `<line class="g" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="t" x="%g" y="%.1f" text-anchor="end">%s</text>`,
			left, width-right, at, at, left-6, at+4, axisLabel(v))
	}
	fmt.Fprintf(b, `<text class="a" x="%g" y="%g" text-anchor="middle">%s</text>`, (left+width-right)/2, height-8, html.EscapeString(a.x))
	fmt.Fprintf(b, `<text class="a" transform="translate(13 %g) rotate(-90)" text-anchor="middle">%s</text>`,
		(top+height-below)/2, html.EscapeString(a.y))
}

// legend names the series below a chart.
func legend(all []series) string {
	if len(all) < 2 {
		return ""
	}
	var b strings.Builder
	b.WriteString(`<p class="k">`)
	for _, s := range all {
		dash := ""
		if s.dashed {
			dash = " d"
		}
		fmt.Fprintf(&b, `<span><svg viewBox="0 0 22 8" class="s"><line class="l c%d%s" x1="0" x2="22" y1="4" y2="4"/></svg>%s</span> `,
			s.color%palette, dash, html.EscapeString(s.name))
	}
	b.WriteString("</p>")
	return b.String()
}

// bar is one of a group, with the ends of its interval where there is one.
type bar struct {
	value, low, high float64
	about            string
}

// group is bars side by side; bars[i] is of series i.
type group struct {
	name string
	bars []bar
}

// bars draws groups of bars, from the left to the right. Ratios begin at 1, which has a line, and their scale is
// logarithmic, so that twice and half are equally far from it.
func bars(groups []group, names []string, unit string, ratios bool) template.HTML {
	least, most := 1.0, 0.0
	for _, g := range groups {
		for _, r := range g.bars {
			most = max(most, r.value, r.high)
			if r.value > 0 {
				least = min(least, r.value)
			}
			if r.low > 0 {
				least = min(least, r.low)
			}
		}
	}
	if most == 0 {
		return ""
	}
	ticks := roundTicks(most, 5)
	y := scale{0, ticks[len(ticks)-1], height - below, top, false}
	ground := 0.0
	if ratios {
		ticks, ground = logTicks(least, max(most, 1)), 1
		y = scale{min(ticks[0], least), max(ticks[len(ticks)-1], most), height - below, top, true}
	}
	var b strings.Builder
	begin(&b, axes{y: unit}, y, ticks)
	slot := (width - right - left) / float64(len(groups))
	for i, g := range groups {
		w := min(slot*0.8/float64(max(1, len(names))), 48)
		from := left + slot*(float64(i)+0.5) - w*float64(len(names))/2
		for j, r := range g.bars {
			drawBar(&b, r, j, from+w*float64(j), w, y, ground)
		}
		drawName(&b, g.name, left+slot*(float64(i)+0.5), slot)
	}
	if ratios {
		fmt.Fprintf(&b, `<line class="b" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/>`, left, width-right, y.at(ground), y.at(ground))
	}
	b.WriteString("</svg>")
	var all []series
	for i, name := range names {
		all = append(all, series{name: name, color: i})
	}
	return template.HTML(b.String() + legend(all)) //nolint:gosec // names are escaped where they are written
}

func drawBar(b *strings.Builder, r bar, color int, x, w float64, y scale, ground float64) {
	if r.value == 0 {
		return
	}
	from, to := y.at(ground), y.at(r.value)
	fmt.Fprintf(b, `<rect class="f c%d" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s</title></rect>`,
		color%palette, x+1, min(from, to), max(1, w-2), math.Abs(from-to), html.EscapeString(r.about))
	if r.high > r.low && r.low > 0 {
		fmt.Fprintf(b, `<line class="e" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, x+w/2, x+w/2, y.at(r.low), y.at(r.high))
	}
}

// drawName writes the name of a group, on up to three lines.
func drawName(b *strings.Builder, name string, x, slot float64) {
	const character, most = 6.4, 3 // about the width of a character; lines at most
	for i, line := range wrap(name, max(4, int(slot/character)), most) {
		fmt.Fprintf(b, `<text class="t" x="%.1f" y="%.1f" text-anchor="middle"><title>%s</title>%s</text>`,
			x, height-below+14+13*float64(i), html.EscapeString(name), html.EscapeString(line))
	}
}

// wrap breaks a text between words into at most `most` lines of so many characters; longer lines end in an ellipsis.
func wrap(text string, characters, most int) []string {
	var lines []string
	for word := range strings.FieldsSeq(text) {
		if n := len(lines); n > 0 && (len([]rune(lines[n-1]))+1+len([]rune(word)) <= characters || n == most) {
			lines[n-1] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	for i, line := range lines {
		if runes := []rune(line); len(runes) > characters {
			lines[i] = string(runes[:characters-1]) + "…"
		}
	}
	return lines
}

// axisLabel formats a number for an axis.
func axisLabel(v float64) string {
	switch {
	case v >= 1e4:
		return fmt.Sprintf("%gk", v/1e3)
	case v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
