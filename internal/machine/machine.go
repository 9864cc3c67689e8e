// Package machine describes the machine that the process runs on.
package machine

import (
	"bufio"
	"cmp"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/metalrank/metalrank/internal/record"
)

// matrixFeatures are Linux's names of the CPU features for matrix products, on amd64 and arm64.
var matrixFeatures = []string{
	"avx2", "fma", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
	"asimddp", "i8mm", "bf16", "sve",
}

// CPU returns the processor's name; "" where the system doesn't tell.
func CPU() string {
	if runtime.GOOS == "darwin" {
		return ask("sysctl", "-n", "machdep.cpu.brand_string")
	}
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	return firstProcessor(string(data))["model name"]
}

// Describe describes this machine. Fields that the system doesn't tell stay empty.
func Describe() record.Machine {
	m := record.Machine{CPU: "unknown", Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH}
	if runtime.GOOS == "darwin" {
		m.CPU = cmp.Or(CPU(), m.CPU)
		m.MemoryBytes, _ = strconv.ParseInt(ask("sysctl", "-n", "hw.memsize"), 10, 64)
		m.OS = strings.TrimSpace("macOS " + ask("sw_vers", "-productVersion"))
		return m
	}
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		readCPUInfo(&m, string(data))
	}
	if data, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.MemoryBytes = memoryOf(string(data))
	}
	if data, err := os.ReadFile("/etc/os-release"); err == nil {
		m.OS = nameOf(string(data))
	}
	return m
}

// Commit names the checkout that the command runs in; "unknown" outside one.
func Commit() string { return cmp.Or(ask("git", "describe", "--always", "--dirty"), "unknown") }

// ask returns the output of a command; "" where it fails.
func ask(command string, args ...string) string {
	out, err := exec.Command(command, args...).Output() //nolint:noctx // instant
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// firstProcessor returns the fields of the first processor of /proc/cpuinfo.
func firstProcessor(text string) map[string]string {
	first, _, _ := strings.Cut(text, "\n\n")
	fields := map[string]string{}
	for line := range strings.Lines(first) {
		key, value, _ := strings.Cut(line, ":")
		fields[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	return fields
}

// readCPUInfo reads the name and features of the first processor in /proc/cpuinfo.
func readCPUInfo(m *record.Machine, text string) {
	fields := firstProcessor(text)
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

// memoryOf returns the bytes of memory in /proc/meminfo; 0 where it doesn't tell.
func memoryOf(text string) int64 {
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0] == "MemTotal:" {
			kB, _ := strconv.ParseInt(fields[1], 10, 64)
			return kB << 10
		}
	}
	return 0
}

// nameOf returns the name in os-release(5).
func nameOf(text string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return ""
}
