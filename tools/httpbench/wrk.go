package main

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// measurement is what wrk says of one run.
type measurement struct {
	rate float64 // requests per second
	p50  float64 // microseconds
}

var (
	rateLine   = regexp.MustCompile(`(?m)^Requests/sec: +([0-9.]+)$`)
	p50Line    = regexp.MustCompile(`(?m)^ +50% +([0-9.]+)(us|ms|s)$`)
	errorLines = regexp.MustCompile(`(?m)^ +(Non-2xx.*|Socket errors.*)$`)
)

// parseWrk reads wrk's output. A run in which anything failed is no measurement.
func parseWrk(output string) (measurement, error) {
	if failed := errorLines.FindString(output); failed != "" {
		return measurement{}, fmt.Errorf("wrk: %s", failed)
	}
	rate, p50 := rateLine.FindStringSubmatch(output), p50Line.FindStringSubmatch(output)
	if rate == nil || p50 == nil {
		return measurement{}, fmt.Errorf("wrk printed neither requests per second nor a median:\n%s", output)
	}
	m := measurement{}
	var err error
	if m.rate, err = strconv.ParseFloat(rate[1], 64); err != nil {
		return m, err
	}
	latency, err := time.ParseDuration(p50[1] + p50[2])
	m.p50 = float64(latency.Nanoseconds()) / 1000
	return m, err
}
