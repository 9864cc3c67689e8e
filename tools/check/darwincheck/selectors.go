package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// recordFile is the path of the record, for messages.
const recordFile = "tools/check/darwincheck/selectors.txt"

//go:embed selectors.txt
var selectorsText string

// A record is a line of selectors.txt: a selector that Apple publishes.
type record struct {
	line     int
	class    string // or protocol
	selector string
	source   string // where it was read
}

// recordedSelectors reads selectors.txt.
func recordedSelectors() ([]record, error) { return parseSelectors(selectorsText) }

func parseSelectors(text string) ([]record, error) {
	var records []record
	for i, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 3 {
			return nil, fmt.Errorf("%s:%d: %d fields, want a class, a selector and a source", recordFile, i+1, len(fields))
		}
		records = append(records, record{i + 1, fields[0], fields[1], fields[2]})
	}
	return records, nil
}

// unique sorts lines and drops duplicates.
func unique(lines []string) []string {
	slices.Sort(lines)
	return slices.Compact(lines)
}
