package main

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// machine says where figures come from.
type machine struct {
	CPU      string   `json:"cpu"`
	Features []string `json:"features"` // those that matrix products are made with
	Cores    int      `json:"cores"`
	System   string   `json:"system"`
	Commit   string   `json:"commit"`
}

// matrixFeatures are the names that Linux gives them on amd64 and arm64.
var matrixFeatures = []string{
	"avx2", "fma", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
	"asimddp", "i8mm", "bf16", "sve",
}

func describeMachine() machine {
	m := machine{CPU: "unknown", Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Commit: "unknown"}
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.readCPUInfo(string(data))
	} else if name, err := exec.Command("sysctl", "-n", "machdep.cpu.brand_string").Output(); err == nil { //nolint:noctx // instant
		m.CPU = strings.TrimSpace(string(name))
	}
	if commit, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil { //nolint:noctx // instant
		m.Commit = strings.TrimSpace(string(commit))
	}
	return m
}

// readCPUInfo reads the first processor of /proc/cpuinfo.
func (m *machine) readCPUInfo(text string) {
	first, _, _ := strings.Cut(text, "\n\n")
	fields := map[string]string{}
	for line := range strings.Lines(first) {
		key, value, _ := strings.Cut(line, ":")
		fields[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	if name := fields["model name"]; name != "" {
		m.CPU = name
		if fields["model"] != "" {
			m.CPU += ", family " + fields["cpu family"] + ", model " + fields["model"]
		}
	}
	flags := strings.Fields(fields["flags"] + " " + fields["Features"])
	for _, feature := range matrixFeatures {
		if slices.Contains(flags, feature) {
			m.Features = append(m.Features, feature)
		}
	}
}
