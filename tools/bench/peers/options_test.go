package main

import (
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var given = []string{"-python", "p", "-engine", "e", "-cache", "c", "-model", "m"}

func TestParseOptions(t *testing.T) {
	o, err := parseOptions(append([]string{"-quick", "-rounds", "7", "-workloads", "short,latency"}, given...), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.rounds != 7 || !cmp.Equal(o.microTokens, []int{512}) || !cmp.Equal(o.workloads, []string{"short", "latency"}) {
		t.Errorf("%+v", o)
	}
	if o, err = parseOptions(given, io.Discard); err != nil {
		t.Fatal(err)
	}
	// The full comparison promises medians of at least five runs of every system.
	if o.rounds < 5 || len(o.systems) != strings.Count(allSystems, ",")+1 || len(o.microTokens) < 2 {
		t.Errorf("%+v", o)
	}
}

func TestParseOptionsRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"-rounds", "0"}, {"-threads", "0"}, {"-micro", "0"}, {"-micro", "512,"}, {"-workloads", "long"},
		{"-workloads", "calibration"}, {"-workloads", "short,short"}, {"-systems", "mlx/int8"}, {"more"},
	} {
		if _, err := parseOptions(slices.Concat(given, args), io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
	var help strings.Builder
	if _, err := parseOptions([]string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "-quick") {
		t.Errorf("%v, %q", err, help.String())
	}
}
