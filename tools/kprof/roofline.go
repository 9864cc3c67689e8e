package main

// limit is one of a device's peaks.
type limit struct {
	Name string  `json:"name"`
	Rate float64 `json:"per_second"` // FLOPs or bytes
}

// roofline holds the limits of a device. Kernels are measured against the first limit of each kind.
type roofline struct {
	Device  string             `json:"device"`
	Compute []limit            `json:"compute"`
	Memory  []limit            `json:"memory"`
	Costs   map[string]float64 `json:"costs_s,omitempty"` // of starting work, in seconds
}

// at returns the greatest rate, in FLOPs a second, at an intensity in FLOPs to the byte.
func (l *roofline) at(intensity float64) float64 {
	return min(l.Compute[0].Rate, intensity*l.Memory[0].Rate)
}

// percent returns a row's rate in percent of the greatest at its intensity. Rows without products are compared by bytes.
func (l *roofline) percent(r *row) float64 {
	if l == nil || r.Time == 0 || len(l.Compute) == 0 || len(l.Memory) == 0 {
		return 0
	}
	if r.FLOPs == 0 {
		return 100 * ratio(r.byteRate(), l.Memory[0].Rate)
	}
	return 100 * ratio(r.flopRate(), l.at(r.intensity()))
}
