package doctor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Validation is the result of Config.Validate.
type Validation struct {
	Cases  int      `json:"cases"`
	Faults []string `json:"faults,omitempty"` // of its report
	// Ended says how the process ended, if that was without a report: the layers abort it at the first misuse of Metal.
	Ended string `json:"ended,omitempty"`
	// Messages are the first and last lines of its standard error.
	Messages []string `json:"messages,omitempty"`
	Seconds  float64  `json:"seconds"`
}

const (
	// validateTime bounds the process. Checked shaders are several times slower.
	validateTime = 5 * time.Minute
	// mostMessages bounds Messages, first and last.
	mostMessages = 40
)

// validation is the environment for Metal's validation layers (man MetalValidation).
var validation = []string{"MTL_DEBUG_LAYER=1", "MTL_SHADER_VALIDATION=1", "MTL_SHADER_VALIDATION_REPORT_TO_STDERR=1"}

func (c *Config) validate(ctx context.Context) *Validation {
	c.step("the same under Metal's validation layers")
	ctx, cancel := context.WithTimeout(ctx, validateTime)
	defer cancel()
	command := exec.CommandContext(ctx, c.Validate[0], c.Validate[1:]...)
	command.Env = append(os.Environ(), validation...)
	command.WaitDelay = time.Second
	out, errOut := &bounded{most: mostReport}, &bounded{most: 1 << 20}
	command.Stdout, command.Stderr = out, errOut
	v, begin := &Validation{}, time.Now()
	err := command.Run()
	v.Seconds = time.Since(begin).Seconds()
	v.Messages = ends(slices.Collect(strings.Lines(errOut.kept.String())), mostMessages)
	for i := range v.Messages {
		v.Messages[i] = strings.TrimSpace(v.Messages[i])
		c.logf("%s", v.Messages[i])
	}
	report, unread := Read(&out.kept)
	switch {
	case unread == nil: // a report with faults has another exit status than 0
		v.Faults = report.Faults
		for i := range report.Drivers {
			v.Cases += report.Drivers[i].Cases
		}
	case ctx.Err() != nil:
		v.Ended = fmt.Sprintf("it was not done within %v", validateTime)
	case err != nil:
		v.Ended = fmt.Sprintf("it ended without a report: %v", err)
	default:
		v.Ended = unread.Error()
	}
	return v
}

// ends returns lines, or the first and last of more than most.
func ends(lines []string, most int) []string {
	if len(lines) <= most {
		return lines
	}
	return slices.Concat(lines[:most/2], []string{"…"}, lines[len(lines)-most/2:])
}

// bounded keeps the first bytes that are written to it.
type bounded struct {
	kept bytes.Buffer
	most int
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	_, _ = b.kept.Write(p[:min(len(p), b.most-b.kept.Len())])
	return len(p), nil
}
