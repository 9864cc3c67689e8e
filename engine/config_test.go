package engine

import (
	"strings"
	"testing"
	"time"
)

func TestConfigValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		want   string // in the error; empty: none
	}{
		{"zero", Config{}, ""},
		{"all set", Config{Backend: "reference", MaxLength: 8, MaxBatchTokens: 1}, ""},
		{"backend", Config{Backend: "cuda"}, `Backend is "cuda", want one of auto, metal, cpu, sim, reference`},
		{"precision", Config{Precision: "fp8"}, `Precision is "fp8", want one of fp32, fp16, bf16, int8`},
		{"reference precision", Config{Backend: "reference", Precision: "int8"}, `Precision is "int8", want none with backend "reference"`},
		{"short", Config{MaxLength: 7}, "MaxLength is 7, want 0 (the checkpoint's) or at least 8"},
		{"negative", Config{MaxLength: -1}, "MaxLength is -1"},
		{"queue time", Config{MaxQueueTime: 25 * time.Hour}, "MaxQueueTime is 25h0m0s, want 0 (a minute where models share devices) to 24h0m0s"},
		{"batch", Config{MaxBatchTokens: 1 << 21}, "MaxBatchTokens is 2097152, want 0 (4096) or 1 to 1048576"},
	} {
		err := c.config.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}
