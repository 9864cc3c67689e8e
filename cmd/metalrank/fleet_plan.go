package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/metalrank/metalrank/cmd/metalrank/fleet/plan"
	"github.com/metalrank/metalrank/internal/record"
)

// percent is a fraction, written as "30%".
type percent float64

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *percent) UnmarshalText(text []byte) error {
	value, err := strconv.ParseFloat(strings.TrimSuffix(string(text), "%"), 64)
	if err != nil || !(value >= 5 && value < 100) {
		return fmt.Errorf("%q is no percentage, want 5%% to below 100%%", text)
	}
	*p = percent(value / 100)
	return nil
}

type fleetPlanCommand struct {
	Rate       float64       `help:"Requests a second." required:"" placeholder:"R"`
	Documents  string        `help:"Documents of a request: a number, or LEAST:MOST." default:"20"`
	Tokens     float64       `help:"Tokens of a pair on average, query and special tokens included." default:"100"`
	P99        time.Duration `name:"p99" help:"What 99 % of requests must be answered within." default:"500ms"`
	Peak       float64       `help:"How many times --rate comes in the busiest hour of a day." default:"1"`
	Dispersion float64       `help:"Variance over mean of the number of requests in a long time: 1: they come independently, more: in bursts." default:"1"`
	Routing    string        `help:"How the balancer spreads requests: ${enum}. least: to the node with the fewest." enum:"least,round-robin,random" default:"least"`
	Headroom   percent       `help:"How much of the capacity to keep free." default:"30%"`
	Survive    int           `help:"How many nodes may be down without breaking this." default:"1"`
	Seed       uint64        `help:"Of the requests that are made up." default:"1"`
	Format     string        `help:"How to print: ${enum}." enum:"table,json" default:"table"`
	Curves     []string      `arg:"" help:"What bin/sweep wrote on a node of each kind: sweep.json." placeholder:"FILE"`
}

// Validate is called by kong.
func (c *fleetPlanCommand) Validate() error {
	load, err := c.load()
	if err != nil {
		return err
	}
	err = load.Validate()
	if wrong, ok := errors.AsType[*plan.BoundsError](err); ok && wrong.Field != "utilisation" {
		return fmt.Errorf("--%s is %s, want %s", wrong.Field, wrong.Got, wrong.Want)
	}
	return err
}

func (c *fleetPlanCommand) load() (plan.Load, error) {
	if !(c.Peak >= 1 && c.Peak <= 100) {
		return plan.Load{}, fmt.Errorf("--peak is %g, want 1 to 100", c.Peak)
	}
	load := plan.Load{
		Rate: c.Rate * c.Peak, Dispersion: c.Dispersion, Routing: plan.Routing(c.Routing), Tokens: c.Tokens, P99: c.P99,
		MaxUtilisation: 1 - float64(c.Headroom), Survive: c.Survive, Seed: c.Seed,
	}
	least, most, ranged := strings.Cut(c.Documents, ":")
	if !ranged {
		most = least
	}
	var err error
	if load.LeastDocuments, err = strconv.Atoi(least); err == nil {
		load.MostDocuments, err = strconv.Atoi(most)
	}
	if err != nil {
		return plan.Load{}, fmt.Errorf("--documents is %q, want a number or LEAST:MOST", c.Documents)
	}
	return load, nil
}

// Run is called by kong.
func (c *fleetPlanCommand) Run(ctx context.Context, std streams) error {
	load, err := c.load()
	if err != nil {
		return err
	}
	var plans []*plan.Plan
	for _, path := range c.Curves {
		run, err := record.ReadFile(path)
		if err != nil {
			return err
		}
		curves, err := plan.Curves(run)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, curve := range curves {
			p, err := plan.Make(ctx, curve, load)
			if err != nil {
				return err
			}
			plans = append(plans, p)
		}
	}
	slices.SortStableFunc(plans, func(a, b *plan.Plan) int { return cmp.Compare(rankOf(a), rankOf(b)) })
	if c.Format == "json" {
		return json.MarshalWrite(std.out, plans, jsontext.WithIndent("  "), json.WithMarshalers(json.MarshalFunc(
			func(d time.Duration) ([]byte, error) { return strconv.AppendFloat(nil, d.Seconds(), 'g', -1, 64), nil },
		)))
	}
	return printPlans(std.out, plans)
}

// rankOf orders plans by their nodes; plans for which no number of nodes is enough come last.
func rankOf(p *plan.Plan) int {
	if p.Nodes == 0 {
		return 1 << 30
	}
	return p.Nodes
}

func printPlans(w io.Writer, plans []*plan.Plan) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODES\tMACHINE\tSYSTEM\tTOKENS/S EACH\tPAIRS/S EACH\tIN USE\tALONE P99\tP50\tP99\tBECAUSE OF")
	for _, p := range plans {
		curve := &p.Curve
		if p.Nodes == 0 {
			fmt.Fprintf(table, "none\t%s\t%s\t%.0f\t%.0f\t\t%s\t\t\t%s\n", curve.Machine, curve.System,
				curve.TokensPerSecond, p.PairsPerSecond, milliseconds(p.Alone), p.Reason)
			continue
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%.0f\t%.0f\t%.0f %%\t%s\t%s\t%s\t%s\n", p.Nodes, curve.Machine, curve.System,
			curve.TokensPerSecond, p.PairsPerSecond, 100*p.Utilisation, milliseconds(p.Alone),
			milliseconds(p.Simulated.P50), milliseconds(p.Simulated.P99), p.Reason)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, p := range plans {
		for _, doubt := range doubts(p) {
			if _, err := fmt.Fprintf(w, "note: %s, %s: %s\n", p.Curve.Machine, p.Curve.System, doubt); err != nil {
				return err
			}
		}
	}
	return nil
}

// doubts returns the reasons why a plan is less certain than it looks.
func doubts(p *plan.Plan) []string {
	var doubts []string
	curve := &p.Curve
	if p.Far {
		doubts = append(doubts, fmt.Sprintf("the curve is of pairs of %.0f to %.0f tokens; measure with such as you have",
			curve.LeastTokensPerPair, curve.MostTokensPerPair))
	}
	if curve.Misfit > 0.2 {
		doubts = append(doubts, fmt.Sprintf("a cell is %.0f %% from the line that was fitted to the curve", 100*curve.Misfit))
	}
	if curve.Cells < 3 {
		doubts = append(doubts, fmt.Sprintf("the curve has %d cells; a sweep of batch sizes with one client and with four says more", curve.Cells))
	}
	return doubts
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.3g ms", d.Seconds()*1e3) }
