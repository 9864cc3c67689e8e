package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"time"

	"github.com/metalrank/metalrank/internal/outfile"
	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/tools/bench/peers/workload"
)

// report is all that was measured, as report.json has it; markdown.go makes tables of it.
type report struct {
	Begin    time.Time        `json:"begin"`
	End      time.Time        `json:"end"`
	Machine  record.Machine   `json:"machine"`
	Commit   string           `json:"commit"`
	Threads  int              `json:"threads"`
	Rounds   int              `json:"rounds"`
	Seed     uint64           `json:"seed"`
	Versions []version        `json:"versions"`
	Shapes   []workload.Shape `json:"workloads"`
	Scores   []agreement      `json:"scores"`
	LeftOut  []omission       `json:"left_out"`
	Products []product        `json:"matrix_products"`
	Series   []*series        `json:"series"`
}

// version has the details that a worker reports of itself.
type version struct {
	Name    peerName `json:"name"`
	Details string   `json:"details"`
}

// omission says why a system is not timed on a workload.
type omission struct {
	System   system `json:"system"`
	Workload string `json:"workload"`
	Reason   string `json:"reason"`
}

func (r *report) leftOut(s system, workload string) bool {
	return slices.ContainsFunc(r.LeftOut, func(o omission) bool { return o.System == s && o.Workload == workload })
}

// product is the speed of plain matrix products, one measurement a round.
type product struct {
	Name   peerName  `json:"name"`
	GFLOPS []float64 `json:"gflops"`
}

// save writes report.json and report.md to dir.
func (r *report) save(dir string) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	if err := outfile.WriteBytes(filepath.Join(dir, "report.json"), append(data, '\n')); err != nil {
		return err
	}
	return outfile.WriteBytes(filepath.Join(dir, "report.md"), []byte(r.markdown()))
}
