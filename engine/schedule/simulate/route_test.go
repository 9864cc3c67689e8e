package simulate

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/metalrank/metalrank/engine/schedule"
)

func TestRouters(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	turn := RoundRobin()
	for i := range 7 {
		if got := turn([]int{9, 9, 0}, random); got != i%3 {
			t.Errorf("request %d in turn goes to %d", i, got)
		}
	}
	picked := [4]int{}
	for range 1000 {
		picked[LeastRequests([]int{3, 1, 2, 1}, random)]++
	}
	if picked[0] != 0 || picked[2] != 0 || picked[1] < 300 || picked[3] < 300 {
		t.Errorf("of 3, 1, 2 and 1 requests: %v", picked)
	}
	picked = [4]int{}
	for range 1000 {
		picked[Random([]int{3, 1, 2, 1}, random)]++
	}
	for i, n := range picked {
		if n < 150 {
			t.Errorf("at random %d got %d of 1000", i, n)
		}
	}
}

// With the same load on the same nodes, routing to the fewest requests has the shortest tail, and random routing the
// longest.
func TestRoutedFleet(t *testing.T) {
	p99 := func(route Router) int64 {
		config := Config{Route: route, Seed: 3}
		for i := range 10 {
			config.Devices = append(config.Devices, Device{})
			config.Models = append(config.Models, Model{
				Limits: schedule.Limits{BatchTokens: 4096, QueueTokens: 1 << 30, Requests: 1 << 20}, Devices: []int{i},
				Cost: Cost{Fixed: time.Millisecond, Token: 10 * time.Microsecond},
			})
		}
		trace := &Synthetic{Seed: 4, Until: 30 * time.Second, Streams: []Stream{{
			Rate: 200, Documents: []Part{{Of: 1, Least: 1, Most: 200}}, Lengths: Passages(), // 0.75 of ten nodes' capacity
		}}}
		report, err := Run(config, Ours, trace.Trace())
		if err != nil {
			t.Fatal(err)
		}
		if report.Answered != report.Requests || report.Latency.At(0.5) > report.Latency.At(0.99) {
			t.Errorf("%d of %d answered", report.Answered, report.Requests)
		}
		return report.Latency.At(0.99)
	}
	least, turns, random := p99(LeastRequests), p99(RoundRobin()), p99(Random)
	if !(least < turns && turns < random) {
		t.Errorf("p99 by fewest requests %v, in turn %v, at random %v", time.Duration(least), time.Duration(turns), time.Duration(random))
	}
}
