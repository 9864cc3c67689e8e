package main

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/metalrank/metalrank/internal/rankmetrics"
	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/tools/sweep/dataset"
	"github.com/metalrank/metalrank/tools/sweep/target"
)

// The pairs that are scored, to compare the systems, before anything is timed.
const (
	checkRequests  = 4
	checkDocuments = 16
	checkStream    = 0x5c07e5
)

// Allowed differences of logits, or of scores where a system has no logits. Orders of summation differ by 1e-5 on the
// embedded model's logits and fp16 by 1e-2; a wrong layer or mask by more than 0.1. The error of bf16, and of 8 bits or
// less, is a matter of quality and not a mistake: there only the order is checked, which a broken conversion doesn't
// keep.
const (
	allowedFP32 = 1e-3
	allowedFP16 = 5e-2
	minTau      = 0.5
)

// compareScores scores the same pairs with both targets. It returns an error if the scores differ too much: the comparison
// would be meaningless.
func (s *sweep) compareScores(
	ctx context.Context, j *job, targets []target.Target, set *dataset.Set,
) (record.Agreement, error) {
	var a record.Agreement
	if len(targets) < 2 || targets[0] == nil || targets[1] == nil {
		return a, nil
	}
	systems := [2]record.System{targets[0].System(), targets[1].System()}
	if x, y := systems[0].Hash, systems[1].Hash; x != "" && y != "" && x != y {
		return a, fmt.Errorf("%s and %s have different models: %s, %s", systems[0].Backend, systems[1].Backend, systems[0].Model, systems[1].Model)
	}
	requests, err := set.Requests(checkRequests, checkDocuments, checkStream)
	if err != nil {
		return a, err
	}
	s.say("comparing scores of %s and %s", systems[0].Backend, systems[1].Backend)
	scores, raw, err := scoreBoth(ctx, targets, requests)
	if err != nil {
		return a, err
	}
	a = record.Agreement{
		Pairs: checkRequests * checkDocuments, Raw: raw,
		Difference: rankmetrics.LargestDifference(scores[0], scores[1]), Tau: rankmetrics.MeanTau(scores[0], scores[1]),
	}
	return a, mismatch(a, systems, j.experiment.Name)
}

// scoreBoth returns scores by target and request; raw ones if both have them.
func scoreBoth(ctx context.Context, targets []target.Target, requests []dataset.Request) (scores [2][][]float64, raw bool, err error) {
	raw = true
	for _, t := range targets {
		_, ok, err := t.Raw(ctx, requests[0].Query, requests[0].Documents)
		if err != nil {
			return scores, raw, err
		}
		raw = raw && ok
	}
	for i, t := range targets {
		for _, r := range requests {
			var of []float64
			if raw {
				of, _, err = t.Raw(ctx, r.Query, r.Documents)
			} else {
				of, err = t.Score(ctx, r.Query, r.Documents)
			}
			if err != nil {
				return scores, raw, err
			}
			scores[i] = append(scores[i], of)
		}
	}
	return scores, raw, nil
}

// mismatch returns an error if two systems differ by more than their dtypes explain.
func mismatch(a record.Agreement, systems [2]record.System, experiment string) error {
	allowed := allowedFP32
	for _, s := range systems {
		switch s.DType {
		case "fp32":
		case "fp16", "bf16":
			allowed = max(allowed, allowedFP16)
			if s.DType == "bf16" {
				allowed = math.Inf(1)
			}
		default:
			allowed = math.Inf(1)
		}
	}
	if math.IsInf(a.Difference, 1) || a.Difference > allowed || !(a.Tau >= minTau) {
		return fmt.Errorf("%s: the scores of %s %s and %s %s differ by up to %.3g (allowed %.3g), Kendall's tau %.3f (at least %g): "+
			"they don't compute the same", experiment, systems[0].Backend, systems[0].DType, systems[1].Backend, systems[1].DType,
			a.Difference, allowed, a.Tau, minTau)
	}
	return nil
}

// compare makes the comparison of a cell that was measured with both targets.
func (m *measurement) compare(cells []*record.Cell, speeds [][]float64, tables []*record.Table) *record.Comparison {
	c := &record.Comparison{
		Experiment: m.job.experiment.Name, A: tables[0].System, B: tables[1].System, Batching: m.job.batching,
		Batch: m.batch, Concurrency: m.clients,
	}
	for i, cell := range cells {
		if cell.Error != "" {
			c.Error = fmt.Sprintf("%s: %s", tables[i].System.Backend, cell.Error)
			return c
		}
	}
	c.ThroughputA, c.ThroughputB = speeds[0], speeds[1]
	c.Ratio, c.Low, c.High = ratio(speeds[0], speeds[1])
	return c
}

// ratio returns the geometric mean of b[i]/a[i] and its 95 % interval, by Student's t on the logarithms. The interval of
// one repeat, or of one with a zero, is unknown: 0 to 0.
func ratio(a, b []float64) (mean, low, high float64) {
	n := min(len(a), len(b))
	logs := make([]float64, n)
	for i := range logs {
		if !(a[i] > 0) || !(b[i] > 0) {
			return 0, 0, 0
		}
		logs[i] = math.Log(b[i] / a[i])
	}
	if n == 0 {
		return 0, 0, 0
	}
	m := stat.Mean(logs, nil)
	if n == 1 {
		return math.Exp(m), 0, 0
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(n - 1)}.Quantile(0.975)
	half := t * stat.StdDev(logs, nil) / math.Sqrt(float64(n))
	return math.Exp(m), math.Exp(m - half), math.Exp(m + half)
}
