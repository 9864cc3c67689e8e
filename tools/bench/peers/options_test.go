package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/cmd/cli"
)

var given = []string{"--python=p", "--engine=e", "--cache=c", "--model=m"}

func parse(t *testing.T, args ...string) *options {
	t.Helper()
	o := &options{}
	parser, err := kong.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(slices.Concat(given, args)); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOptions(t *testing.T) {
	o := parse(t, "--quick", "--rounds=7", "--workloads=short,latency")
	if o.Rounds != 7 || !cmp.Equal(o.Micro, []int{512}) || !cmp.Equal(o.workloads, []string{"short", "latency"}) {
		t.Errorf("%+v", o)
	}
	// The full comparison promises medians of at least five runs of every system.
	o = parse(t)
	if o.Rounds < 5 || len(o.systems) != strings.Count(allSystems, ",")+1 || len(o.Micro) < 2 {
		t.Errorf("%+v", o)
	}
}

func TestOptionsAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"--rounds=-1"}, {"--threads=0"}, {"--micro=0"}, {"--micro=512,x"}, {"--workloads=longest"}, {"--shapes=t5"}, {"--shapes=bge-v2-m3:0"}, {"--minutes=3"}, {"--prepare"},
		{"--workloads=calibration"}, {"--workloads=short,short"}, {"--systems=mlx/int8"}, {"more"},
	} {
		var out bytes.Buffer
		if status := run(t.Context(), slices.Concat(given, args), cli.Streams{Out: &out, Err: &out}); status != cli.ExitUsage {
			t.Errorf("%v: status %d, %s", args, status, &out)
		}
	}
	var help strings.Builder
	if status := run(t.Context(), []string{"--help"}, cli.Streams{Out: &help}); status != 0 || !strings.Contains(help.String(), "--quick") {
		t.Errorf("status %d, %q", status, help.String())
	}
}
