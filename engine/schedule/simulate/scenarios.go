package simulate

import (
	"fmt"
	"time"

	"github.com/metalrank/metalrank/engine/schedule"
)

// Scenario is a trace and the configuration it runs on.
type Scenario struct {
	Name   string // a word, as the tool takes it
	About  string
	Config func() Config
	Trace  func(seed uint64) Synthetic
}

// small is a plausible model and device: a GPU that does half a million tokens a second of six layers of 384.
func small() Model {
	return Model{
		Name:   "six layers",
		Limits: schedule.Limits{BatchTokens: 4096, QueueTokens: 1 << 23, Requests: 1 << 16},
		Cost: Cost{
			Fixed: 500 * time.Microsecond, Token: 2 * time.Microsecond, Jitter: 0.05,
			Pack: 100 * time.Microsecond, PackToken: 50 * time.Nanosecond,
		},
	}
}

// large is four times as slow.
func large() Model {
	m := small()
	m.Name = "twelve layers"
	m.Cost.Fixed, m.Cost.Token = 1*time.Millisecond, 8*time.Microsecond
	return m
}

// unlike are a model of six layers of 384 and one of 36 of 2,560, whose tokens take 400 times as long and as many operations.
func unlike() Config {
	c := twoModels()
	for i, m := range []struct {
		name        string
		token       time.Duration
		requestsMax int
	}{{"six layers", 2 * time.Microsecond, 1 << 16}, {"36 layers", 800 * time.Microsecond, 512}} {
		model := &c.Models[i]
		model.Name, model.Cost.Token = m.name, m.token
		model.Limits.QueueTokens, model.Limits.Requests, model.Limits.QueueTime = 1<<24, m.requestsMax, 10*time.Second
		model.Limits.Unit = 22e6 * m.token.Seconds() / 2e-6
	}
	return c
}

// OneModel is a plausible GPU with one model.
func OneModel() Config { return Config{Models: []Model{small()}, Devices: []Device{{}}} }

// searches are requests of few documents.
func searches() []Part { return []Part{{Of: 0.5, Least: 8, Most: 8}, {Of: 0.5, Least: 1, Most: 8}} }

// heavyTailed is mostly searches; requests of 2,000 documents and more have half of all documents.
func heavyTailed() []Part {
	return []Part{
		{Of: 0.9, Least: 1, Most: 8}, {Of: 0.08, Least: 9, Most: 128}, {Of: 0.015, Least: 129, Most: 1024},
		{Of: 0.004, Least: 2000, Most: 2000}, {Of: 0.001, Least: 4096, Most: 4096},
	}
}

// at sets a stream's rate to the part load of a device's capacity with the model.
func at(load float64, m Model, s Stream) Stream {
	s.Lengths = Passages()
	s.Rate = load * m.Cost.Rate(m.Limits.BatchTokens) / s.Tokens()
	return s
}

func trace(until time.Duration, streams ...Stream) func(uint64) Synthetic {
	return func(seed uint64) Synthetic { return Synthetic{Seed: seed, Until: until, Streams: streams} }
}

// Scenarios returns the scenarios that the defaults were chosen by. Each is a few minutes, the last a day.
func Scenarios() []Scenario {
	m := small()
	overloaded := func() Config {
		c := OneModel()
		c.Models[0].Limits.QueueTokens = 1 << 19 // about a second
		return c
	}
	return []Scenario{
		{"light", "20 % load, up to 8 documents", OneModel,
			trace(5*time.Minute, at(0.2, m, Stream{Documents: searches(), Clients: 16}))},
		{"heavy", "90 % load, half of it requests of 2,000 and 4,096 documents", OneModel,
			trace(30*time.Minute, at(0.9, m, Stream{Documents: heavyTailed(), Clients: 16}))},
		{"rag", "85 % load, 20 to 200 documents", OneModel,
			trace(20*time.Minute, at(0.85, m, Stream{Documents: []Part{{Of: 1, Least: 20, Most: 200}}, Clients: 16}))},
		{"bursts", "60 % load in bursts of 2 s every 4 s, a tenth of clients gives up after 200 ms", OneModel,
			trace(5*time.Minute, at(0.6, m, Stream{
				Documents: heavyTailed(), Clients: 16, On: 2 * time.Second, Off: 2 * time.Second,
				Cancels: 0.1, Patience: 200 * time.Millisecond,
			}))},
		{"overload", "150 % load, of which one client 120 % and nine others 30 %; deadlines of 2 s", overloaded,
			trace(2*time.Minute,
				at(1.2, m, Stream{Documents: heavyTailed(), Client: "greedy", Deadline: 2 * time.Second}),
				at(0.3, m, Stream{Documents: searches(), Client: "modest", Clients: 9, Deadline: 2 * time.Second}))},
		{"flood", "200 % load of requests of up to 8 documents, of which one client 170 % and nine others 30 %", overloaded,
			trace(2*time.Minute,
				at(1.7, m, Stream{Documents: searches(), Client: "greedy"}),
				at(0.3, m, Stream{Documents: searches(), Client: "modest", Clients: 9}))},
		{"models", "two models, each with 80 % load: 160 % together; the one takes four times the time of the other", twoModels,
			trace(2*time.Minute,
				at(0.8, m, Stream{Documents: searches(), Clients: 4}),
				at(0.8, large(), Stream{Model: 1, Documents: heavyTailed(), Clients: 4}))},
		{"unlike", "two models, each with 80 % load, 160 % together; the one takes 400 times the time of the other; queues of 10 s", unlike,
			trace(2*time.Minute,
				at(0.8, unlike().Models[0], Stream{Documents: searches(), Clients: 4}),
				at(0.8, unlike().Models[1], Stream{Model: 1, Documents: searches(), Clients: 4}))},
		{"day", "a day, 45 % load on average, 9 to 81 %", OneModel,
			trace(24*time.Hour, at(0.45, m, Stream{
				Documents: heavyTailed(), Clients: 16, Daily: true, Cancels: 0.01, Patience: time.Second,
			}))},
	}
}

// Uniform is requests of equally many documents, at a load, from so many clients that send at equal rates.
func Uniform(documents int, load float64, clients int) Scenario {
	s := at(load, small(), Stream{Documents: []Part{{Of: 1, Least: documents, Most: documents}}, Clients: clients})
	requests := max(6000, min(100_000, 3_000_000/documents))
	return Scenario{
		Name: fmt.Sprintf("uniform %d, %.0f %%, %d clients", documents, 100*load, clients), Config: OneModel,
		About: fmt.Sprintf("%.0f %% load, %d documents each, %d clients", 100*load, documents, clients),
		Trace: trace(time.Duration(float64(requests)/s.Rate*float64(time.Second)), s),
	}
}

// Loop is a number of clients; each sends a request of so many documents when its last one is answered.
func Loop(documents, clients int) Scenario {
	s := Stream{Documents: []Part{{Of: 1, Least: documents, Most: documents}}, Lengths: Passages(), Clients: clients, Closed: true}
	return Scenario{
		Name: fmt.Sprintf("loop %d, %d clients", documents, clients), Config: OneModel,
		About: fmt.Sprintf("%d documents each, %d clients that wait for their answers", documents, clients),
		Trace: trace(5*time.Minute, s),
	}
}

func twoModels() Config {
	c := Config{Models: []Model{small(), large()}, Devices: []Device{{}}}
	for i := range c.Models {
		c.Models[i].Limits.QueueTokens = 1 << 19
	}
	return c
}

// Run runs the scenario. The policy is ours if nil.
func (s *Scenario) Run(seed uint64, policy NewPolicy, change func(*Config)) (*Report, error) {
	c := s.Config()
	if change != nil {
		change(&c)
	}
	if policy == nil {
		policy = Ours
	}
	t := s.Trace(seed)
	r, err := Run(c, policy, t.Trace())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	return r, nil
}
