package main

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// measurement is the result of one run of wrk.
type measurement struct {
	rate     float64 // requests per second
	requests float64 // in all
	p50      float64 // microseconds
	cpu      float64 // microseconds of the servers' processor time for each request; not from wrk
}

var (
	rateLine   = regexp.MustCompile(`(?m)^Requests/sec: +([0-9.]+)$`)
	countLine  = regexp.MustCompile(`(?m)^ +(\d+) requests in `)
	p50Line    = regexp.MustCompile(`(?m)^ +50% +([0-9.]+)(us|ms|s)$`)
	errorLines = regexp.MustCompile(`(?m)^ +(Non-2xx.*|Socket errors.*)$`)
)

// parseWrk reads wrk's output. A run in which anything failed is no measurement.
func parseWrk(output string) (measurement, error) {
	if failed := errorLines.FindString(output); failed != "" {
		return measurement{}, fmt.Errorf("wrk: %s", failed)
	}
	rate, count, p50 := rateLine.FindStringSubmatch(output), countLine.FindStringSubmatch(output), p50Line.FindStringSubmatch(output)
	if rate == nil || count == nil || p50 == nil {
		return measurement{}, fmt.Errorf("wrk printed neither requests per second nor a median:\n%s", output)
	}
	m := measurement{}
	var err error
	if m.rate, err = strconv.ParseFloat(rate[1], 64); err != nil {
		return m, err
	}
	if m.requests, err = strconv.ParseFloat(count[1], 64); err != nil {
		return m, err
	}
	latency, err := time.ParseDuration(p50[1] + p50[2])
	m.p50 = float64(latency.Nanoseconds()) / 1000
	return m, err
}
