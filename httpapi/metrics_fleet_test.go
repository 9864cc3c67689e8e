package httpapi

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/engine"
)

// TestFleetNamesMetrics wants a server, or else a recording rule, to have every metric that the rules, the dashboard
// and the runbook for fleets name.
func TestFleetNamesMetrics(t *testing.T) {
	const folder = "../docs/operations"
	_, address := start(t, &countingRanker{counters: engine.Counters{Batches: 1}}, Config{})
	rerank(t, address, `{"query":"a","texts":["b"]}`)
	known := map[string]bool{}
	for _, line := range scrape(t, address) {
		known[regexp.MustCompile(`^[a-z0-9_]*`).FindString(line)] = true
	}
	recorded := regexp.MustCompile(`record: (\S+)`)
	rules, err := os.ReadFile(filepath.Join(folder, "rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range recorded.FindAllStringSubmatch(string(rules), -1) {
		known[match[1]] = true
	}
	for _, file := range []string{"rules.yml", "rules_test.yml", "dashboard.json", "runbook.md"} {
		text, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`\bmetalrank(_(http|model|build)_|:)[a-z0-9_:]+`).FindAllString(string(text), -1)
		for _, name := range names {
			if !known[name] {
				t.Errorf("%s names %s, which no server has", file, name)
			}
		}
		if file != "runbook.md" && len(names) < 10 || len(names) == 0 {
			t.Errorf("%s names %s alone", file, strings.Join(names, " "))
		}
	}
}
