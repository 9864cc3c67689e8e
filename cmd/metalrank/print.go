package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/metalrank/metalrank/engine"
)

// excerptRunes bounds a document's text in a table: with rank and score, a line has 100 columns.
const excerptRunes = 82

// printRanking writes results in one of the formats table, json and tsv.
func printRanking(w io.Writer, format string, results []engine.Result, documents []string) error {
	out := bufio.NewWriter(w)
	var err error
	switch format {
	case "json":
		err = printJSON(out, results, documents)
	case "tsv":
		err = printTSV(out, results, documents)
	default:
		err = printTable(out, results, documents)
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

func printTable(w io.Writer, results []engine.Result, documents []string) error {
	if _, err := fmt.Fprintf(w, "%4s  %8s  %s\n", "rank", "score", "document"); err != nil {
		return err
	}
	for i, r := range results {
		if _, err := fmt.Fprintf(w, "%4d  %8.4f  %s\n", i+1, r.Score, excerpt(documents[r.Index], excerptRunes)); err != nil {
			return err
		}
	}
	return nil
}

// printTSV prints whole documents, on one line each; index counts documents from 0.
func printTSV(w io.Writer, results []engine.Result, documents []string) error {
	if _, err := fmt.Fprintln(w, "rank\tscore\tindex\ttext"); err != nil {
		return err
	}
	for i, r := range results {
		if _, err := fmt.Fprintf(w, "%d\t%v\t%d\t%s\n", i+1, r.Score, r.Index, oneLine(documents[r.Index])); err != nil {
			return err
		}
	}
	return nil
}

func printJSON(w io.Writer, results []engine.Result, documents []string) error {
	type row struct {
		Index int     `json:"index"`
		Score float64 `json:"score"`
		Text  string  `json:"text"`
	}
	rows := make([]row, len(results))
	for i, r := range results {
		rows[i] = row{r.Index, r.Score, strings.ToValidUTF8(documents[r.Index], "\uFFFD")}
	}
	if err := json.MarshalWrite(w, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

// excerpt is the beginning of a text, cut at a word if one ends nearby.
func excerpt(text string, most int) string {
	runes := []rune(oneLine(text))
	if len(runes) <= most {
		return string(runes)
	}
	end := most - 1
	for i := end; i > most*3/4; i-- {
		if runes[i] == ' ' {
			end = i
			break
		}
	}
	return strings.TrimRight(string(runes[:end]), " ") + "…"
}

// oneLine folds white space, and drops control and format characters, which could steer a terminal.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

// progress is a bar on standard error, if that is a terminal; mpb checks that.
type progress struct {
	container *mpb.Progress
	bar       *mpb.Bar
}

func newProgress(std streams) *progress {
	container := mpb.New(mpb.WithOutput(std.err), mpb.WithWidth(50))
	return &progress{container, container.AddBar(0,
		mpb.PrependDecorators(decor.CountersKiloByte("% .1f of % .1f")),
		mpb.AppendDecorators(decor.Percentage(), decor.EwmaSpeed(decor.SizeB1000(0), "  % .1f", 30)),
	)}
}

// set moves the bar; it may be called from several goroutines.
func (p *progress) set(done, total int64) {
	p.bar.SetTotal(total, false)
	p.bar.SetCurrent(done)
}

// finish leaves the bar as it is, or removes it.
func (p *progress) finish(whole bool) {
	if whole {
		p.bar.SetTotal(-1, true)
	} else {
		p.bar.Abort(true)
	}
	p.container.Wait()
}
