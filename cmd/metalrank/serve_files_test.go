package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// TestLogChange: a change is logged once, and the next one again.
func TestLogChange(t *testing.T) {
	var out bytes.Buffer
	logger, said := slog.New(slog.NewTextHandler(&out, nil)), map[string]string{}
	written, gone := errors.New("model.safetensors: was written to"), errors.New("model.safetensors: is gone")
	for _, err := range []error{nil, written, written, gone, gone, nil, gone} {
		logChange("m", err, said, logger)
	}
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 3 ||
		!strings.Contains(lines[0], "was written to") || !strings.Contains(lines[1], "is gone") || !strings.Contains(lines[2], "is gone") {
		t.Errorf("logged:\n%s", out.String())
	}
}
