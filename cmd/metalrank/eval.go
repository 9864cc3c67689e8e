package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/cmd/cli/jsonl"
	"github.com/metalrank/metalrank/cmd/cli/modelflags"
	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/internal/rankmetrics"
)

type evalCommand struct {
	Model     []string `help:"Models to compare: folders, OWNER/MODEL, or \"builtin\". The first is what the others are compared with. Default: builtin." default:"builtin" sep:"," placeholder:"DIR"`
	Backend   string   `help:"What computes: ${enum}." enum:"${backends}" default:"auto"`
	Precision []string `help:"Arithmetic of each model, as of rerank; several: each model at each. Default: the backend's own." sep:"," placeholder:"P"`
	MaxLength int      `help:"Tokens in a pair; longer pairs are truncated. Default: what the model takes." placeholder:"N"`
	Format    string   `help:"How to print: ${enum}." enum:"table,json" default:"table"`
	File      string   `arg:"" help:"Queries as JSON lines, {\"query\":…, \"docs\":[…], \"relevant\":[indexes of docs]}, or with a grade of relevance for each document, \"grades\":[0, 2, …]; \"-\" is standard input."`
}

// judged is a query with documents, and how relevant each is.
type judged struct {
	query     string
	documents []string
	grades    []float64
}

// evaluation is the line of one model.
type evaluation struct {
	Model    string  `json:"model"`
	WeightMB float64 `json:"weights_mb"`
	NDCG     float64 `json:"ndcg_at_10"`
	MRR      float64 `json:"mrr_at_10"`
	Recall1  float64 `json:"recall_at_1"`
	Recall10 float64 `json:"recall_at_10"`
	*Comparison
}

// Comparison is with the first model: Kendall's tau of each query, averaged, and the differences of logits. The order given
// has none.
type Comparison struct {
	Tau       float64 `json:"kendall_tau"`
	MeanDelta float64 `json:"mean_abs_delta_logit"`
	MaxDelta  float64 `json:"max_abs_delta_logit"`
}

// evalDepth is the k of NDCG@k, MRR@k and recall@k.
const evalDepth = 10

// Run is called by kong.
func (c *evalCommand) Run(ctx context.Context, std streams) error {
	queries, err := c.read(ctx, std)
	if err != nil {
		return err
	}
	rows := []evaluation{asGiven(queries)}
	var reference [][]float64
	precisions := c.Precision
	if len(precisions) == 0 {
		precisions = []string{""}
	}
	for _, model := range c.Model {
		for _, precision := range precisions {
			row, logits, err := c.score(ctx, model, precision, queries)
			if err != nil {
				return fmt.Errorf("%s: %w", model, err)
			}
			if reference == nil {
				reference = logits
			}
			row.Comparison = compare(logits, reference)
			rows = append(rows, row)
		}
	}
	if c.Format == "json" {
		if err := json.MarshalWrite(std.out, rows); err != nil {
			return err
		}
		_, err := fmt.Fprintln(std.out)
		return err
	}
	return printEvaluations(std.out, rows)
}

func (c *evalCommand) read(ctx context.Context, std streams) ([]judged, error) {
	in, err := jsonl.Open(c.File, std.in)
	if err != nil {
		return nil, err
	}
	var queries []judged
	for l, err := range jsonl.Lines(ctx, in) {
		var q judged
		if err == nil {
			q, err = parseJudged(l)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", jsonl.Name(c.File), err), in.Close())
		}
		queries = append(queries, q)
	}
	if len(queries) == 0 {
		return nil, errors.Join(fmt.Errorf("%s: no queries", jsonl.Name(c.File)), in.Close())
	}
	return queries, in.Close()
}

// mostGrade bounds a grade: gains are powers of two of it, and judgements rarely go beyond 4.
const mostGrade = 16

const judgedForm = `{"query": text, "docs": [texts], "relevant": [indexes of docs]}, or "grades": [one for each of docs]`

func parseJudged(l jsonl.Line) (judged, error) {
	var row struct {
		Query    string    `json:"query"`
		Docs     []string  `json:"docs"`
		Relevant []int     `json:"relevant"`
		Grades   []float64 `json:"grades"`
	}
	if err := json.Unmarshal(l.Text, &row); err != nil {
		return judged{}, fmt.Errorf("line %d: want %s, got: %s", l.Number, judgedForm, strings.TrimPrefix(err.Error(), "jsontext: "))
	}
	if row.Query == "" || len(row.Docs) == 0 || (len(row.Relevant) == 0) == (len(row.Grades) == 0) {
		return judged{}, fmt.Errorf("line %d: want query, docs, and either relevant or grades, none empty", l.Number)
	}
	q := judged{row.Query, row.Docs, row.Grades}
	if q.grades == nil {
		q.grades = make([]float64, len(row.Docs))
	}
	for _, i := range row.Relevant {
		if i < 0 || i >= len(row.Docs) {
			return judged{}, fmt.Errorf("line %d: relevant: %d, want an index of docs, 0 to %d", l.Number, i, len(row.Docs)-1)
		}
		q.grades[i] = 1
	}
	if len(q.grades) != len(q.documents) {
		return judged{}, fmt.Errorf("line %d: grades: %d, want one for each of %d docs", l.Number, len(q.grades), len(q.documents))
	}
	for i, grade := range q.grades {
		if !(grade >= 0 && grade <= mostGrade) {
			return judged{}, fmt.Errorf("line %d: grades: number %d is %g, want 0 to %d", l.Number, i, grade, mostGrade)
		}
	}
	if slices.Max(q.grades) == 0 {
		return judged{}, fmt.Errorf("line %d: grades: all are 0, so that every order is as good", l.Number)
	}
	return q, nil
}

// score runs one model over all queries; the result has its logits by query and document.
func (c *evalCommand) score(ctx context.Context, model, precision string, queries []judged) (row evaluation, logits [][]float64, err error) {
	flags := modelflags.Flags{Model: model, Backend: c.Backend, Precision: precision, MaxLength: c.MaxLength}
	if model == "builtin" {
		flags.Model = ""
	}
	e, err := flags.Open(ctx)
	if err != nil {
		return row, nil, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	row.Model = strings.TrimSpace(filepath.Base(model) + " " + precision)
	for _, d := range e.Info().DTypes {
		row.WeightMB += float64(d.Bytes) / 1e6
	}
	for _, q := range queries {
		ranking, err := e.Rerank(ctx, q.query, q.documents, engine.Options{RawScores: true})
		if err != nil {
			return row, nil, err
		}
		scores := make([]float64, len(q.documents))
		for _, r := range ranking.Results {
			scores[r.Index] = r.Score
		}
		row.add(scores, q.grades, len(queries))
		logits = append(logits, scores)
	}
	return row, logits, nil
}

// asGiven returns the row for the order of the documents in the file. Where that is a search engine's, a model has to do
// better to be worth its time. There are no logits to compare.
func asGiven(queries []judged) evaluation {
	row := evaluation{Model: "(order given)"}
	for _, q := range queries {
		scores := make([]float64, len(q.documents))
		for i := range scores {
			scores[i] = -float64(i)
		}
		row.add(scores, q.grades, len(queries))
	}
	return row
}

// add adds one query to the means, which are over the given number of queries.
func (e *evaluation) add(scores, grades []float64, queries int) {
	n := float64(queries)
	e.NDCG += rankmetrics.NDCG(scores, grades, evalDepth) / n
	e.MRR += rankmetrics.ReciprocalRank(scores, grades, evalDepth) / n
	e.Recall1 += rankmetrics.Recall(scores, grades, 1) / n
	e.Recall10 += rankmetrics.Recall(scores, grades, evalDepth) / n
}

// compare says how far logits are from those of the reference.
func compare(logits, reference [][]float64) *Comparison {
	e := &Comparison{}
	var taus, deltas float64
	for i, scores := range logits {
		if tau := rankmetrics.KendallTau(scores, reference[i]); !math.IsNaN(tau) { // one document, or nothing but ties
			e.Tau += tau
			taus++
		}
		for j, score := range scores {
			delta := math.Abs(score - reference[i][j])
			e.MeanDelta += delta
			e.MaxDelta = max(e.MaxDelta, delta)
			deltas++
		}
	}
	e.Tau /= max(taus, 1)
	e.MeanDelta /= max(deltas, 1)
	return e
}

func printEvaluations(w io.Writer, rows []evaluation) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, err := fmt.Fprintln(table, "model\tMB\tNDCG@10\tMRR@10\trecall@1\trecall@10\ttau\tmean |Δ|\tmax |Δ|\t")
	for _, r := range rows {
		size, compared := "", "\t\t"
		if r.Comparison != nil {
			size, compared = fmt.Sprintf("%.1f", r.WeightMB), fmt.Sprintf("%.4f\t%.2g\t%.2g", r.Tau, r.MeanDelta, r.MaxDelta)
		}
		if err == nil {
			_, err = fmt.Fprintf(table, "%s\t%s\t%.4f\t%.4f\t%.4f\t%.4f\t%s\t\n",
				oneLine(r.Model), size, r.NDCG, r.MRR, r.Recall1, r.Recall10, compared)
		}
	}
	return errors.Join(err, table.Flush())
}
