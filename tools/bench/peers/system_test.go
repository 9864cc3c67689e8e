package main

import (
	"slices"
	"testing"
)

func TestParseSystems(t *testing.T) {
	got, err := parseSystems("openvino/int8, torch.compile/bf16,metalrank/default")
	want := []peerName{{"openvino", "int8"}, {"torch.compile", "bf16"}, {"metalrank", "default"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, list := range []string{"", "openvino", "openvino/", "openvino/int4", "tensorrt/int8", "mlx/fp32,mlx/fp32"} {
		if got, err := parseSystems(list); err == nil {
			t.Errorf("%q: no error but %v", list, got)
		}
	}
	for _, list := range []string{allSystems, quickSystems} {
		if _, err := parseSystems(list); err != nil {
			t.Error(err)
		}
	}
}

func TestSystemsOf(t *testing.T) {
	names := []peerName{{"metalrank", "int8"}, {"mlx", "fp32"}, {"matmul", "fp32"}}
	want := []system{{names[0], false}, {names[1], false}, {names[1], true}}
	if got := systemsOf(names, true); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestOrder(t *testing.T) {
	for n := 1; n <= 7; n++ {
		first, before := map[int]bool{}, map[[2]int]bool{}
		for round := range 2 * n {
			got := order(n, round)
			first[got[0]] = true
			for i := 1; i < n; i++ {
				before[[2]int{got[i-1], got[i]}] = true
			}
			slices.Sort(got)
			for i, index := range got {
				if i != index {
					t.Fatalf("n %d, round %d runs %v", n, round, got)
				}
			}
		}
		if n > 2 && (len(first) < 2 || len(before) < 2*n) {
			t.Errorf("n %d: %d systems come first, %d follow another", n, len(first), len(before))
		}
	}
}
