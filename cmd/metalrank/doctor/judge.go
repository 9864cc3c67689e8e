package doctor

import (
	"cmp"
	"fmt"
	"slices"
)

// Ranks of faults, worst first: scores that may be wrong, then errors, then a device that is missing or slow.
const (
	wrongLanes = iota
	wrongKernel
	wrongScore
	failedPart
	refusedByValidation
	missingDevice
	failedSpeed
)

// fault is one of a Report's. Of two with the same rank, that with the greater weight is worse.
type fault struct {
	rank   int
	weight float64
	text   string
}

// judge collects faults and notes.
func (r *Report) judge(config *Config) {
	var faults []fault
	add := func(rank int, weight float64, format string, args ...any) {
		faults = append(faults, fault{rank, weight, fmt.Sprintf(format, args...)})
	}
	for i := range r.Drivers {
		r.judgeDriver(&r.Drivers[i], config, add)
	}
	for _, g := range r.Goldens {
		switch {
		case g.Error != "":
			add(failedPart, 0, "%s: %s", g.System, g.Error)
		case !g.Right():
			add(wrongScore, percentage(g.Difference), "%s: the embedded model's logits are off by up to %.3g, %.3g allowed; worst: pair %d, %q with %q",
				g.System, g.Difference, g.Allowed, g.Worst, g.WorstQuery, g.WorstDocument)
		}
		if g.LeftOut > 0 {
			r.note("%s: %d of %d pairs were left out; --full takes them, too", g.System, g.LeftOut, g.LeftOut+g.Pairs)
		}
	}
	for _, s := range r.Speeds {
		if s.Error != "" {
			add(failedSpeed, 0, "%s: %s", s.System, s.Error)
		}
	}
	for _, l := range r.Latencies {
		if l.Error != "" {
			add(failedSpeed, 0, "%s: latency: %s", l.System, l.Error)
		}
	}
	if v := r.Validation; v != nil {
		for _, text := range v.Faults {
			add(refusedByValidation, 0, "under Metal's validation: %s", text)
		}
		if v.Ended != "" {
			add(refusedByValidation, 0, "under Metal's validation: %s", v.Ended)
		}
	}
	slices.SortStableFunc(faults, func(a, b fault) int { return cmp.Or(a.rank-b.rank, cmp.Compare(b.weight, a.weight)) })
	for _, f := range faults {
		r.Faults = append(r.Faults, f.text)
	}
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

func (r *Report) judgeDriver(d *Driver, config *Config, add func(rank int, weight float64, format string, args ...any)) {
	switch {
	case d.Absent && slices.Contains(config.Needed, d.Name):
		add(missingDevice, 0, "%s: %s", d.Name, d.Error)
	case d.Absent:
		r.note("%s was not examined: %s", d.Name, d.Error)
	case d.Error != "":
		add(failedPart, 0, "%s: %s", d.Name, d.Error)
	}
	if d.Lanes != nil {
		add(wrongLanes, 0, "%s: lanes hold an 8 x 8 matrix otherwise than the kernels expect; the report has the map", d.Name)
	}
	for _, f := range d.Failures {
		if f.Element != nil {
			add(wrongKernel, percentage(f.PercentOfAllowed), "%s: %s", d.Name, f)
		} else {
			add(failedPart, 0, "%s: %s", d.Name, f)
		}
	}
	if d.Skipped > 0 {
		r.note("%s: %d further cases of the kernels that failed to build were not run", d.Name, d.Skipped)
	}
	for _, l := range d.Limited {
		r.note("%s: %d cases are more than this device can do, as %s; %s", d.Name, l.Cases, l.Error, l.Instead)
	}
	if d.Times != nil && d.Times.LeftOut > 0 {
		r.note("%s: %d shapes were not measured within %v", d.Name, d.Times.LeftOut, mostTimes)
	}
}

// percentage orders the results of finite: -1, for infinity, is the greatest.
func percentage(x float64) float64 {
	if x < 0 {
		return infinite
	}
	return x
}

const infinite = 1e308
