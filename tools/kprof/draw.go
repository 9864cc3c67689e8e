package main

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/metalrank/metalrank/internal/outfile"
)

// theme is the colours of a picture.
type theme struct {
	name                   string
	paper, ink, faint, dim color.RGBA
	roofs                  []color.RGBA // of bandwidths; kernels are measured against the first
	kernels                []color.RGBA
}

func rgb(v uint32) color.RGBA {
	return color.RGBA{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: 255}
}

// themes use the hues of Okabe and Ito, which colour-blind readers can tell apart, lighter on dark paper.
var themes = []theme{
	{
		name: "light", paper: rgb(0xffffff), ink: rgb(0x1c1e21), faint: rgb(0xe3e5e8), dim: rgb(0x6b7280),
		roofs:   []color.RGBA{rgb(0x1c1e21), rgb(0x6b7280), rgb(0x9aa1ab)},
		kernels: []color.RGBA{rgb(0x0072b2), rgb(0xd55e00), rgb(0x009e73), rgb(0xb0569a), rgb(0xa67c00), rgb(0x3a8fc4), rgb(0x7a4b1f), rgb(0x555555)},
	},
	{
		name: "dark", paper: rgb(0x15181c), ink: rgb(0xe8eaed), faint: rgb(0x2a2f36), dim: rgb(0x9aa1ab),
		roofs:   []color.RGBA{rgb(0xe8eaed), rgb(0x9aa1ab), rgb(0x6b7280)},
		kernels: []color.RGBA{rgb(0x56b4e9), rgb(0xff8c42), rgb(0x2ecf9f), rgb(0xe08acb), rgb(0xf0c94a), rgb(0x8fd0f5), rgb(0xc99a6b), rgb(0xbbbbbb)},
	},
}

// Size of a picture. A PNG has about three pixels to two of vg's points.
const (
	pictureWidth  = 9.6 * vg.Inch
	pictureHeight = 5.8 * vg.Inch
)

// drawRoofline writes pictures in both themes and the page that shows them.
func drawRoofline(folder string, p *profile) error {
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // a report, for everyone to read
		return err
	}
	for i := range themes {
		picture, err := newPicture(p, &themes[i])
		if err != nil {
			return err
		}
		path := filepath.Join(folder, "roofline-"+themes[i].name)
		if err := errors.Join(saveSVG(picture, path+".svg"), savePNG(picture, path+".png")); err != nil {
			return err
		}
	}
	return writePage(folder, p)
}

// saveSVG writes a picture with its font embedded: another font would be wider, and run over the edge.
func saveSVG(picture *plot.Plot, path string) error {
	canvas := vgsvg.NewWith(vgsvg.UseWH(pictureWidth, pictureHeight), vgsvg.EmbedFonts(true))
	picture.Draw(draw.New(canvas))
	return outfile.Write(path, func(w io.Writer) error {
		_, err := canvas.WriteTo(w)
		return err
	})
}

func savePNG(picture *plot.Plot, path string) error {
	image, err := picture.WriterTo(pictureWidth, pictureHeight, "png")
	if err != nil {
		return err
	}
	return outfile.Write(path, func(w io.Writer) error {
		_, err := image.WriteTo(w)
		return err
	})
}

// newPicture draws roofs, and a point for each kernel: its area grows with its share of the time.
func newPicture(p *profile, t *theme) (*plot.Plot, error) {
	rows := drawn(p.Rows)
	if len(rows) == 0 {
		return nil, fmt.Errorf("no row has products and a time to draw")
	}
	pic := plot.New()
	pic.BackgroundColor = t.paper
	pic.X.Padding, pic.Y.Padding = vg.Points(4), vg.Points(4)
	pic.Title.Text = fmt.Sprintf("%s on %s, %s: %d tokens in %.2f ms", p.Model, p.Backend, p.Precision, p.Tokens, ms(p.Wall.Seconds()))
	pic.Title.TextStyle.Color = t.ink
	pic.Title.Padding = vg.Points(10)
	pic.Title.TextStyle.Font = sans(13)
	for _, a := range []struct {
		axis *plot.Axis
		text string
	}{{&pic.X, "FLOPs to the byte"}, {&pic.Y, "GFLOP/s"}} {
		a.axis.Label.Text, a.axis.Label.TextStyle.Color, a.axis.Color = a.text, t.ink, t.dim
		a.axis.Scale, a.axis.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		a.axis.Label.TextStyle.Font, a.axis.Tick.Label.Font = sans(11), sans(10)
		a.axis.Tick.Label.Color, a.axis.Tick.LineStyle.Color = t.ink, t.dim
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = t.faint, t.faint
	pic.Add(grid)
	pic.Legend.TextStyle.Color, pic.Legend.TextStyle.Font = t.ink, sans(9.5)
	pic.Legend.XOffs, pic.Legend.YOffs, pic.Legend.Padding = -vg.Points(8), vg.Points(8), vg.Points(3)
	pic.Legend.ThumbnailWidth = vg.Points(12)
	left, right := bounds(rows, p.Roofline)
	pic.X.Min, pic.X.Max = left, right
	pic.Y.Max = 2 * p.Roofline.highest() / 1e9
	pic.Y.Min = pic.Y.Max
	for i := range rows {
		rate := rows[i].flopRate() / 1e9
		pic.Y.Min, pic.Y.Max = min(pic.Y.Min, rate/6), max(pic.Y.Max, 2*rate)
	}
	if err := addRoofs(pic, p.Roofline, t, left, right); err != nil {
		return nil, err
	}
	return pic, addPoints(pic, p, rows, t)
}

// drawn returns the rows that a picture with two logarithmic axes can show.
func drawn(rows []row) []row {
	var shown []row
	for _, r := range byKernel(rows) {
		if r.FLOPs > 0 && r.Bytes > 0 && r.Time > 0 {
			shown = append(shown, r)
		}
	}
	return shown
}

// bounds leaves room for all points, and for the points at which the memories' slopes meet the first peak.
func bounds(rows []row, l *roofline) (left, right float64) {
	left, right = math.Inf(1), 0.0
	for i := range rows {
		left, right = min(left, rows[i].intensity()), max(right, rows[i].intensity())
	}
	for _, m := range l.Memory {
		right = max(right, l.Compute[0].Rate/m.Rate)
	}
	return left / 4, 4 * right
}

func (l *roofline) highest() float64 {
	top := 0.0
	for _, c := range l.Compute {
		top = max(top, c.Rate)
	}
	return top
}

// addRoofs draws a horizontal line for each peak, and for each memory a slope up to the first peak. Each has its name
// beside it.
func addRoofs(pic *plot.Plot, l *roofline, t *theme, left, right float64) error {
	add := func(i int, name string, at int, points plotter.XYs) error {
		c := t.roofs[min(i, len(t.roofs)-1)]
		line := &plotter.Line{XYs: points, LineStyle: draw.LineStyle{Color: c, Width: vg.Points(1.6)}}
		if i > 0 {
			line.Dashes, line.Width = []vg.Length{vg.Points(5), vg.Points(4)}, vg.Points(1.1)
		}
		label, err := plotter.NewLabels(plotter.XYLabels{XYs: points[at : at+1], Labels: []string{name}})
		if err != nil {
			return err
		}
		label.TextStyle[0] = style(t.ink, 9)
		label.TextStyle[0].YAlign = draw.YBottom
		if at > 0 { // a peak's label, at the right edge
			label.TextStyle[0].XAlign, label.Offset = draw.XRight, vg.Point{X: -vg.Points(3), Y: vg.Points(3)}
		} else { // a slope's label, along the slope
			angle := slopeAngle(pic)
			label.TextStyle[0].Rotation = angle
			label.Offset = vg.Point{X: vg.Points(8*math.Cos(angle) - 4*math.Sin(angle)), Y: vg.Points(8*math.Sin(angle) + 4*math.Cos(angle))}
		}
		pic.Add(line, label)
		return nil
	}
	for i, c := range l.Compute {
		begin := max(left, ratio(c.Rate, l.Memory[0].Rate))
		err := add(i, c.Name+": "+flops(c.Rate), 1, plotter.XYs{{X: begin, Y: c.Rate / 1e9}, {X: right, Y: c.Rate / 1e9}})
		if err != nil {
			return err
		}
	}
	for i, m := range l.Memory {
		knee := l.Compute[0].Rate / m.Rate
		begin := max(left, 1e9*pic.Y.Min/m.Rate) // where the slope enters the picture
		err := add(i, fmt.Sprintf("%s: %.0f GB/s", m.Name, m.Rate/1e9), 0,
			plotter.XYs{{X: begin, Y: begin * m.Rate / 1e9}, {X: knee, Y: l.Compute[0].Rate / 1e9}})
		if err != nil {
			return err
		}
	}
	return nil
}

// slopeAngle returns the approximate angle of a line of slope one in the picture: axes and title take some of its size.
func slopeAngle(pic *plot.Plot) float64 {
	const axisWidth, axisHeight = 0.8 * vg.Inch, 0.9 * vg.Inch
	across := float64(pictureWidth-axisWidth) / math.Log10(pic.X.Max/pic.X.Min)
	up := float64(pictureHeight-axisHeight) / math.Log10(pic.Y.Max/pic.Y.Min)
	return math.Atan2(up, across)
}

func sans(points float64) font.Font {
	return font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, font.Points(points))
}

func style(c color.RGBA, points float64) text.Style {
	return text.Style{Color: c, Font: sans(points), Handler: plot.DefaultTextHandler}
}

func flops(rate float64) string {
	if rate >= 1e12 {
		return fmt.Sprintf("%.2f TFLOP/s", rate/1e12)
	}
	return fmt.Sprintf("%.0f GFLOP/s", rate/1e9)
}

// addPoints draws the kernels, and then their numbers over all of them.
func addPoints(pic *plot.Plot, p *profile, rows []row, t *theme) error {
	var numbers []plot.Plotter
	for i := range rows {
		r := &rows[i]
		at := plotter.XYs{{X: r.intensity(), Y: r.flopRate() / 1e9}}
		share := ratio(r.Time.Seconds(), p.Wall.Seconds())
		points, err := plotter.NewScatter(at)
		if err != nil {
			return err
		}
		radius := vg.Points(3 + 9*math.Sqrt(share))
		points.GlyphStyle = draw.GlyphStyle{Color: t.kernels[i%len(t.kernels)], Shape: draw.CircleGlyph{}, Radius: radius}
		number, err := plotter.NewLabels(plotter.XYLabels{XYs: at, Labels: []string{fmt.Sprint(i + 1)}})
		if err != nil {
			return err
		}
		number.TextStyle[0] = style(t.ink, 9)
		number.TextStyle[0].YAlign = draw.YCenter
		number.Offset = vg.Point{X: radius + vg.Points(2), Y: 0}
		if i%2 == 1 { // neighbours lie close together
			number.TextStyle[0].XAlign, number.Offset.X = draw.XRight, -radius-vg.Points(2)
		}
		pic.Add(points)
		numbers = append(numbers, number)
		key := *points
		key.Radius = vg.Points(4)
		pic.Legend.Add(fmt.Sprintf("%d %s: %.1f %% of the time, %.0f %% of the roof", i+1, r.Name, 100*share, p.Roofline.percent(r)), &key)
	}
	pic.Add(numbers...)
	return nil
}
