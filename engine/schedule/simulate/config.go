package simulate

import (
	"errors"
	"fmt"

	"github.com/metalrank/metalrank/engine/schedule"
)

// Config has the models and devices that a trace runs on.
type Config struct {
	Models []Model
	// Devices run batches one after another. Each has the models that name it.
	Devices []Device
	// Overlap is how batches are handed over. The zero value is schedule.DefaultDevice.
	Overlap schedule.DeviceConfig
	// Route picks the model of each request. Nil: the trace has done so.
	Route Router
	// Seed is for the jitter of devices, and for routing.
	Seed uint64
}

// Model is a model that requests may be for.
type Model struct {
	Name   string
	Limits schedule.Limits
	Cost   Cost
	Weight float64 // of device time; 0: 1
	// Devices has the indices of the devices that run it; nil: all.
	Devices []int
}

// Device runs one batch at a time.
type Device struct {
	Speed float64 // divides Cost; 0: 1
}

// prepare sets the defaults, and returns an error for a configuration that can't run.
func (c *Config) prepare() error {
	if len(c.Models) == 0 || len(c.Devices) == 0 {
		return errors.New("simulate: no models or no devices")
	}
	if c.Overlap == (schedule.DeviceConfig{}) {
		c.Overlap = schedule.DefaultDevice()
	}
	all := make([]int, len(c.Devices))
	for i := range all {
		all[i] = i
		if c.Devices[i].Speed == 0 {
			c.Devices[i].Speed = 1
		}
	}
	for i := range c.Models {
		m := &c.Models[i]
		if m.Devices == nil {
			m.Devices = all
		}
		for _, d := range m.Devices {
			if d < 0 || d >= len(c.Devices) {
				return fmt.Errorf("simulate: model %q: device %d, there are %d", m.Name, d, len(c.Devices))
			}
		}
	}
	return nil
}
