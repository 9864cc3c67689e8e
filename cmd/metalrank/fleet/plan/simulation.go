package plan

import (
	"time"

	"github.com/metalrank/metalrank/engine/schedule"
	"github.com/metalrank/metalrank/engine/schedule/simulate"
	"github.com/metalrank/metalrank/internal/record"
)

// Simulation is the result of a fleet in simulated time.
type Simulation struct {
	Requests, Refused int
	P50, P99          time.Duration
	Busy              float64 // part of the time in which devices ran batches
}

// The requests of a simulation: enough for a 99th percentile, for each node, and for some hundred bursts. mostDocuments
// bounds their documents, which take most of the time.
const (
	leastSimulated = 30_000
	perNode        = 100
	perBurst       = 200
	mostDocuments  = 100_000_000
)

// simulate runs the load on n nodes, each with the engine's scheduler, behind the load's balancer, with so many requests at
// least.
func (s *sizing) simulate(n, least int) (*Simulation, error) {
	requests := min(max(least, perNode*n, int(perBurst*(s.load.Dispersion-1))), max(mostDocuments/s.load.MostDocuments, 1))
	config := simulate.Config{Route: s.load.Routing.router(), Seed: s.load.Seed}
	limits := schedule.Limits{BatchTokens: batchTokens, QueueTokens: 256 * batchTokens, Requests: 512}
	for i := range n {
		config.Devices = append(config.Devices, simulate.Device{})
		config.Models = append(config.Models, simulate.Model{
			Limits: limits, Devices: []int{i},
			Cost: simulate.Cost{Fixed: duration(s.fixed), Token: duration(s.token)},
		})
	}
	until := duration(float64(requests) / s.load.Rate)
	report, err := simulate.Run(config, simulate.Ours, s.load.stream(until).Trace())
	if err != nil {
		return nil, err
	}
	device := report.Device()
	return &Simulation{
		Requests: report.Requests, Refused: report.Refused,
		P50:  time.Duration(report.Latency.At(0.5)) + s.outside(50),
		P99:  time.Duration(report.Latency.At(0.99)) + s.outside(99),
		Busy: device.Busy.Seconds() / (report.Duration.Seconds() * float64(n)),
	}, nil
}

// outside returns the time that a request at a percentile of sizes spends outside the device; the simulation has only the
// time on the device.
func (s *sizing) outside(percent float64) time.Duration {
	tokens := record.PercentileOfSorted(s.sizes, percent)
	return duration(max(s.curve.alone(tokens)-s.fixed*max(1, tokens/batchTokens)-s.token*tokens, 0))
}
