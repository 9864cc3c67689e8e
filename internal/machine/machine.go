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

// System returns name, version and build of the operating system: "macOS 15.1 (24B83)". On Linux, it has no build.
func System() string {
	if runtime.GOOS == "darwin" {
		return "macOS " + ask("sw_vers", "-productVersion") + " (" + ask("sw_vers", "-buildVersion") + ")"
	}
	return Describe().OS
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

// State is the state of the machine that measurements depend on. Fields that the system doesn't tell are empty.
type State struct {
	Build    string `json:"os_build,omitempty"` // of the operating system: macOS's "24F74", Linux's release
	Virtual  bool   `json:"virtual,omitempty"`  // a virtual machine
	Thermal  string `json:"thermal,omitempty"`  // macOS's thermal pressure: "nominal", "moderate", "heavy", "trapping", "sleeping"
	LowPower bool   `json:"low_power,omitempty"`
}

// String returns the state in words.
func (s State) String() string {
	words := []string{"build " + cmp.Or(s.Build, "unknown"), "thermal pressure " + cmp.Or(s.Thermal, "unknown")}
	if s.Virtual {
		words = append(words, "virtual machine")
	}
	if s.LowPower {
		words = append(words, "low power mode")
	}
	return strings.Join(words, ", ")
}

// CurrentState asks the system.
func CurrentState() State {
	if runtime.GOOS != "darwin" {
		data, _ := os.ReadFile("/proc/cpuinfo") // without it, the flags are not known
		return State{
			Build:   ask("uname", "-r"),
			Virtual: slices.Contains(strings.Fields(firstProcessor(string(data))["flags"]), "hypervisor"),
		}
	}
	return State{
		Build:    ask("sw_vers", "-buildVersion"),
		Virtual:  ask("sysctl", "-n", "kern.hv_vmm_present") == "1",
		Thermal:  thermalPressure(ask("notifyutil", "-g", "com.apple.system.thermalpressurelevel")),
		LowPower: lowPower(ask("pmset", "-g")),
	}
}

// thermalPressure returns the name of a level that notifyutil prints: a key and a number, of OSThermalNotification.h.
func thermalPressure(text string) string {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return ""
	}
	level, err := strconv.Atoi(fields[len(fields)-1])
	if names := []string{"nominal", "moderate", "heavy", "trapping", "sleeping"}; err == nil && level >= 0 && level < len(names) {
		return names[level]
	}
	return ""
}

// lowPower reads the settings in use that pmset prints: lowpowermode, or powermode, of which 1 is low.
func lowPower(text string) bool {
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) >= 2 && strings.HasSuffix(fields[0], "powermode") && fields[1] == "1" {
			return true
		}
	}
	return false
}
