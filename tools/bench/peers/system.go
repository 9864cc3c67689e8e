package main

import (
	"fmt"
	"slices"
	"strings"
)

// peerName is a program under comparison at one precision; each runs in a worker process of its own.
type peerName struct {
	Peer      string `json:"peer"`
	Precision string `json:"precision"`
}

func (p peerName) String() string { return p.Peer + " " + p.Precision }

// ours says whether it is this project's engine.
func (p peerName) ours() bool { return p.Peer == "metalrank" }

// yardstick says whether it only measures matrix products.
func (p peerName) yardstick() bool { return p.Peer == "matmul" }

// reference is the peer that all scores are compared with.
var reference = peerName{"torch", "fp32"}

// known holds the peers and precisions that --systems takes. The engine itself says which of its precisions it has.
var known = map[string][]string{
	"onnxruntime":   {"fp32", "int8"},
	"torch":         {"fp32", "bf16"},
	"torch.compile": {"fp32", "bf16"},
	"openvino":      {"fp32", "bf16", "int8"},
	"mlx":           {"fp32"},
	"matmul":        {"fp32", "bf16", "int8"},
	"metalrank":     {"fp32", "int8", "bf16", "default"},
}

const (
	allSystems = "metalrank/fp32,metalrank/int8,metalrank/bf16," +
		"onnxruntime/fp32,onnxruntime/int8,torch/fp32,torch/bf16,torch.compile/fp32,torch.compile/bf16," +
		"openvino/fp32,openvino/bf16,openvino/int8,mlx/fp32,matmul/fp32,matmul/bf16,matmul/int8"
	shapeSystems = "metalrank/fp32,metalrank/int8,onnxruntime/fp32,onnxruntime/int8,torch/fp32,torch.compile/fp32,openvino/fp32,openvino/int8"
	quickSystems = "metalrank/fp32,metalrank/int8,onnxruntime/int8,torch/fp32,openvino/int8,matmul/fp32"
)

// parseSystems reads a list like "openvino/int8,torch/fp32".
func parseSystems(list string) ([]peerName, error) {
	var names []peerName
	for item := range strings.SplitSeq(list, ",") {
		peer, precision, _ := strings.Cut(strings.TrimSpace(item), "/")
		precisions, found := known[peer]
		if !found {
			return nil, fmt.Errorf("no system %q: want PEER/PRECISION,… as in %s", item, allSystems)
		}
		if !slices.Contains(precisions, precision) {
			return nil, fmt.Errorf("%s has no precision %q: want one of %s", peer, precision, strings.Join(precisions, ", "))
		}
		name := peerName{peer, precision}
		if slices.Contains(names, name) {
			return nil, fmt.Errorf("%s is named twice", item)
		}
		names = append(names, name)
	}
	return names, nil
}

// system is a peer in one way of use.
type system struct {
	peerName

	Tuned bool `json:"tuned"`
}

func (s system) String() string {
	if s.Tuned {
		return s.peerName.String() + ", tuned"
	}
	return s.peerName.String()
}

// systemsOf lists every use of each name: ours has one, since sorting and cutting is the engine's own work. Untuned, so have
// the others.
func systemsOf(names []peerName, tuned bool) []system {
	var systems []system
	for _, name := range names {
		if name.yardstick() {
			continue
		}
		systems = append(systems, system{name, false})
		if tuned && !name.ours() {
			systems = append(systems, system{name, true})
		}
	}
	return systems
}

// order returns the indices of n systems in the order in which a round runs them. Rounds begin each with another
// system and every second one goes backwards, so that no system always runs first, or behind the same other one.
func order(n, round int) []int {
	indices := make([]int, n)
	for i := range indices {
		indices[i] = (i + round) % n
	}
	if round%2 == 1 {
		slices.Reverse(indices)
	}
	return indices
}
