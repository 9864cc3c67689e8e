// Package machine describes the machine that measures.
package machine

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/metalrank/metalrank/record"
)

// matrixFeatures are the names that Linux gives them on amd64 and arm64.
var matrixFeatures = []string{
	"avx2", "fma", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
	"asimddp", "i8mm", "bf16", "sve",
}

// Describe describes this machine.
func Describe() record.Machine {
	m := record.Machine{CPU: "unknown", Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH}
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		readCPUInfo(&m, string(data))
	} else if name := sysctl("machdep.cpu.brand_string"); name != "" {
		m.CPU = name
	}
	m.MemoryBytes = memoryBytes()
	return m
}

// memoryBytes is 0 where nothing tells.
func memoryBytes() int64 {
	if data, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kB int64
		if _, err := fmt.Sscanf(string(data), "MemTotal: %d kB", &kB); err == nil {
			return kB << 10
		}
		return 0
	}
	bytes, _ := strconv.ParseInt(sysctl("hw.memsize"), 10, 64)
	return bytes
}

// sysctl asks macOS; "" elsewhere.
func sysctl(name string) string {
	value, err := exec.Command("sysctl", "-n", name).Output() //nolint:noctx // instant
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(value))
}

// Commit names the checkout that the command runs in; "unknown" outside one.
func Commit() string {
	commit, err := exec.Command("git", "describe", "--always", "--dirty").Output() //nolint:noctx // instant
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(commit))
}

// readCPUInfo reads the first processor of /proc/cpuinfo.
func readCPUInfo(m *record.Machine, text string) {
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
