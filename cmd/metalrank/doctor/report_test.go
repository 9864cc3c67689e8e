package doctor

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// Faults are sorted: wrong answers before errors before missing devices, and the greatest difference first.
func TestWorstFaultsFirst(t *testing.T) {
	element := func(percent float64) Failure {
		return Failure{Case: fmt.Sprint(percent), File: "f", Element: new(int), PercentOfAllowed: finite(percent)}
	}
	r := Report{
		Drivers: []Driver{
			{Name: "absent", Absent: true, Error: "none"},
			{Name: "metal", Error: "stopped", Failures: []Failure{element(150), {File: "f", Error: "no compiler"}, element(math.Inf(1)), element(900)}},
		},
		Goldens: []Golden{{System: "first", Difference: 2, Allowed: 1}, {System: "second", Difference: finite(math.NaN()), Allowed: 1}},
		Speeds:  []Speed{{System: "slow", Error: "slow"}}, Latencies: []Latency{{System: "late", Error: "late"}},
		Validation: &Validation{Ended: "aborted"},
	}
	r.judge(&Config{Needed: []string{"absent"}})
	want := []string{"+Inf", "900", "150", "second", "first", "stopped", "no compiler", "aborted", "none", "slow", "late"}
	if len(r.Faults) != len(want) {
		t.Fatalf("%q", r.Faults)
	}
	for i, fault := range r.Faults {
		if !strings.Contains(fault, want[i]) {
			t.Errorf("fault %d is %q, want %q", i, fault, want[i])
		}
	}
}

// example is a report with all parts.
func example() *Report {
	return &Report{
		Format: Format, Version: "v1",
		Drivers: []Driver{{
			Name: "metal", Device: "Apple M2", Limits: &Limits{MaxThreads: 1024}, Pipelines: []Pipeline{{Kernel: "k", MaxThreads: 576}},
			Times: &Times{Rates: map[string]float64{"copy": 1e11}, Shapes: []Shape{{
				Kernel: "gemm", Rows: 8, N: 64, K: 64, Variants: []Variant{{Name: "64x32", US: 10}, {Name: "8x32", US: 8}},
			}}},
		}},
		Goldens:    []Golden{{System: "cpu fp32", Allowed: 1}},
		Latencies:  []Latency{{System: "metal fp16", HotMS: 5, Idle: []Pause{{2, 9}}}},
		Validation: &Validation{Cases: 5},
	}
}

func encoded(t testing.TB, r *Report) []byte {
	t.Helper()
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestCompare(t *testing.T) {
	after, err := Read(bytes.NewReader(encoded(t, example())))
	if err != nil {
		t.Fatal(err)
	}
	if d := Compare(example(), after); len(d) != 0 {
		t.Errorf("a report and itself: %+v", d)
	}
	after.Version, after.Drivers[0].Pipelines[0].MaxThreads, after.Latencies = "v2", 384, nil
	after.Drivers[0].Times.Shapes[0].Variants[0].US, after.Drivers[0].Times.Shapes[0].Variants[1].US = 5, 8.1 // one is within 3 %
	after.Faults = []string{"broken"}
	want := []Difference{
		{"version", "v1", "v2", 0},
		{"metal k", "576 threads, 0 bytes of threadgroup memory, precompiled: false", "384 threads, 0 bytes of threadgroup memory, precompiled: false", 0},
		{"metal gemm 8x64x64 best variant", "8x32", "64x32", 0},
		{"metal gemm 8x64x64 64x32", "10 µs", "5 µs", 0.5},
		{"fault: broken", "", "yes", 0},
		{"latency metal fp16 after 2 s", "9 ms", "", 0},
		{"latency metal fp16 hot", "5 ms", "", 0},
	}
	if got := Compare(example(), after); !slices.Equal(got, want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"": "nothing to read", "{}": "format is 0, want 1", `{"format": 2}`: "format is 2", "[]": "no report", `{"format": 1, "drivers": 3}`: "drivers",
		strings.Repeat(" ", mostReport+1): "at most",
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: error %v, want %q", text, err, want)
		}
	}
}

// FuzzRead reads a report of others, compares it, and makes choices of it.
func FuzzRead(f *testing.F) {
	f.Add(encoded(f, example()))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		Compare(example(), r)
		Compare(r, example())
		for i := range r.Drivers {
			r.Drivers[i].Choices()
		}
	})
}

// The child's report, its messages and its end are told.
func TestValidate(t *testing.T) {
	for _, c := range []struct {
		script string
		want   Validation
	}{
		{
			`echo "layer $MTL_DEBUG_LAYER, shaders $MTL_SHADER_VALIDATION" >&2; echo '{"format": 1, "drivers": [{"cases": 7}], "faults": ["bad"]}'; exit 1`,
			Validation{Cases: 7, Faults: []string{"bad"}, Messages: []string{"layer 1, shaders 1"}},
		},
		{
			`echo "-[MTLDebugDevice] failed assertion" >&2; exit 134`,
			Validation{Ended: "it ended without a report: exit status 134", Messages: []string{"-[MTLDebugDevice] failed assertion"}},
		},
		{`true`, Validation{Ended: "no report: nothing to read"}},
	} {
		config := Config{Validate: []string{"sh", "-c", c.script}, Progress: func(string) {}}
		got := config.validate(t.Context())
		if got.Cases != c.want.Cases || got.Ended != c.want.Ended || !slices.Equal(got.Faults, c.want.Faults) || !slices.Equal(got.Messages, c.want.Messages) {
			t.Errorf("%s: %+v, want %+v", c.script, got, c.want)
		}
	}
}

func TestEnds(t *testing.T) {
	if got := ends([]string{"a", "b", "c", "d", "e"}, 4); !slices.Equal(got, []string{"a", "b", "…", "d", "e"}) {
		t.Errorf("%q", got)
	}
	b := &bounded{most: 3}
	for _, text := range []string{"ab", "cd", "ef"} {
		if n, err := b.Write([]byte(text)); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	if b.kept.String() != "abc" {
		t.Errorf("%q", b.kept.String())
	}
}
