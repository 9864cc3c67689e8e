package sim_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/metaltest"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
)

// sabotages are mistakes of a driver, and the subtest of the suite that must notice.
var sabotages = map[string]struct {
	spoil   func(*metal.CommandList)
	noticed string
}{
	"none": {func(*metal.CommandList) {}, ""},
	"offsets ignored": {each(func(c *metal.Command) {
		for i := range c.Buffers {
			c.Buffers[i].OffsetBytes = 0
		}
	}), "Offsets"},
	"arguments of another dispatch": {each(func(c *metal.Command) { c.ArgumentsOffset = 0 }), "ArgumentSizes"},
	"last argument byte lost":       {each(func(c *metal.Command) { c.ArgumentsSize -= min(1, c.ArgumentsSize) }), "ArgumentSizes"},
	"last group lost":               {each(func(c *metal.Command) { c.Groups.X = max(1, c.Groups.X-1) }), "Grids"},
	"y and z swapped": {each(func(c *metal.Command) {
		c.Threads.Y, c.Threads.Z = c.Threads.Z, c.Threads.Y
	}), "Grids"},
	"last dispatch lost":     {func(l *metal.CommandList) { l.Commands = l.Commands[:max(1, len(l.Commands))-1] }, "Barriers"},
	"dispatches out of turn": {func(l *metal.CommandList) { slices.Reverse(l.Commands) }, "Barriers"},
	"one pipeline for all": {eachWithFirst(func(first, c *metal.Command) {
		if first.Pipeline.Info().Kernel == c.Pipeline.Info().Kernel {
			c.Pipeline = first.Pipeline
		}
	}), "Constants"},
}

func each(spoil func(*metal.Command)) func(*metal.CommandList) {
	return eachWithFirst(func(_, c *metal.Command) { spoil(c) })
}

func eachWithFirst(spoil func(first, c *metal.Command)) func(*metal.CommandList) {
	return func(l *metal.CommandList) {
		for i := range l.Commands {
			spoil(&l.Commands[0], &l.Commands[i])
		}
	}
}

// sabotaged is a device that makes one mistake with every list.
type sabotaged struct {
	metal.Device
	spoil func(*metal.CommandList)
}

// Submit implements metal.Device.
func (s sabotaged) Submit(list *metal.CommandList) (metal.Pending, error) {
	spoilt := metal.CommandList{Commands: slices.Clone(list.Commands), Arguments: list.Arguments}
	s.spoil(&spoilt)
	return s.Device.Submit(&spoilt)
}

// sabotageVariable makes TestSabotaged run the suite over one of sabotages, which must fail.
const sabotageVariable = "METALRANK_SABOTAGE"

// TestSabotaged is the other half of TestSuiteNotices, in a process of its own.
func TestSabotaged(t *testing.T) {
	name := os.Getenv(sabotageVariable)
	if name == "" {
		t.Skip("run by TestSuiteNotices")
	}
	metaltest.Run(t, func(tb testing.TB) metal.Device {
		tb.Helper()
		return sabotaged{simtest.Open(tb, sim.Config{}), sabotages[name].spoil}
	})
}

// TestSuiteNotices runs the suite over drivers that make one mistake each.
func TestSuiteNotices(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the suite once for each sabotage")
	}
	simtest.Open(t, sim.Config{}) // skips where there is no simulator
	for name, sabotage := range sabotages {
		t.Run(name, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSabotaged$/^"+sabotage.noticed, "-test.v")
			command.Env = append(os.Environ(), sabotageVariable+"="+name)
			output, err := command.CombinedOutput()
			if sabotage.noticed == "" {
				if err != nil {
					t.Errorf("the suite fails without a mistake: %v\n%s", err, output)
				}
				return
			}
			if err == nil || !strings.Contains(string(output), "--- FAIL: TestSabotaged/"+sabotage.noticed+" ") {
				t.Errorf("%s does not fail: %v\n%s", sabotage.noticed, err, output)
			}
		})
	}
}
