package main

import (
	"fmt"
	"math"

	"github.com/metalrank/metalrank/internal/rankmetrics"
	"github.com/metalrank/metalrank/tools/bench/peers/workload"
)

// agreement compares a system's logits with the reference's.
type agreement struct {
	System     system  `json:"system"`
	Workload   string  `json:"workload"`
	Requests   int     `json:"requests"` // compared: fewer than all where a system ran out of time
	Difference float64 `json:"largest_difference"`
	Ordered    bool    `json:"ordered"`     // some request has more than one document, so that there is a tau
	Tau        float64 `json:"kendall_tau"` // mean over requests; 0 unless Ordered
	Deviation  float64 `json:"deviation"`   // standard deviation of the reference's logits
}

const (
	// Orders of summation differ by 1e-5 on these logits; a wrong layer or mask by more than 0.1.
	maxDifference = 1e-3
	// How well 8 bits or bf16 keep the order is their quality, which is reported; less is a broken conversion.
	minTau = 0.5
)

// compare measures logits against the reference's; both are in the order of the workload's requests.
func compare(s system, name string, logits, want [][]float64) agreement {
	n := min(len(logits), len(want))
	a := agreement{
		System: s, Workload: name, Requests: n, Difference: rankmetrics.LargestDifference(want[:n], logits[:n]),
		Tau: rankmetrics.MeanTau(want[:n], logits[:n]), Deviation: rankmetrics.Deviation(want[:n]),
	}
	if a.Ordered = !math.IsNaN(a.Tau); !a.Ordered {
		a.Tau = 0 // JSON has no NaN
	}
	return a
}

// err reports logits so far off that a comparison of speed would compare different things. The fixtures do not count:
// their requests are so small that one swap of places changes tau a lot. With random weights, the order means nothing.
func (a *agreement) err(random bool) error {
	switch {
	case a.System.Precision == "fp32" && !(a.Difference <= maxDifference), math.IsInf(a.Difference, 1):
		return fmt.Errorf("%s on %s: logits differ from those of %s by up to %.3g, allowed %g",
			a.System, a.Workload, reference, a.Difference, maxDifference)
	case !random && a.Workload != workload.Evaluation && !(a.Tau >= minTau):
		return fmt.Errorf("%s on %s: Kendall's tau against %s is %.3f, want at least %g",
			a.System, a.Workload, reference, a.Tau, minTau)
	}
	return nil
}

// worst joins agreements on several workloads: the largest difference, the mean tau, NaN if none is ordered.
func worst(agreements []agreement) (difference, tau float64) {
	ordered := 0.0
	for _, a := range agreements {
		difference = max(difference, a.Difference)
		if a.Ordered {
			tau += a.Tau
			ordered++
		}
	}
	return difference, tau / ordered
}
