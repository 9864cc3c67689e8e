package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

const operations = "../../../docs/operations"

// TestRules has promtool check the rules, try them on series, and check the scrape configuration, where there is one.
func TestRules(t *testing.T) {
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool: sudo apt-get install prometheus, brew install prometheus")
	}
	for _, args := range [][]string{
		{"check", "rules", "rules.yml"}, {"check", "config", "prometheus.yml"}, {"test", "rules", "rules_test.yml"},
	} {
		command := exec.CommandContext(t.Context(), program, args...)
		command.Dir = operations
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// adminAddress finds the address that a flag or a variable gives for profiles and traces.
var adminAddress = regexp.MustCompile(`(?i)(?:--admin-listen|METALRANK_ADMIN_LISTEN)["\s:=]+([^\s"'<,\\]+)`)

// TestAdminIsPrivate wants no example that opens profiles and traces, which need no key, to other machines.
func TestAdminIsPrivate(t *testing.T) {
	files, err := filepath.Glob(operations + "/*.*")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, file := range append(files, "../../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range adminAddress.FindAllSubmatch(text, -1) {
			address := string(match[1])
			if !strings.ContainsAny(address, "0123456789") {
				continue // prose
			}
			found[file] = true
			if !strings.HasPrefix(address, "127.0.0.1:") {
				t.Errorf("%s: profiles and traces on %s", file, address)
			}
		}
	}
	for _, file := range []string{"metalrank.nomad.hcl", "metalrank.rb", "README.md"} {
		if !found[operations+"/"+file] {
			t.Errorf("%s: no address was found", file)
		}
	}
}

// TestFormula wants every program that metalrank runs to be installed and tried, and the parts in the order of `brew style`
// (Homebrew's Library/Homebrew/rubocops/components_order.rb).
func TestFormula(t *testing.T) {
	text, err := os.ReadFile(operations + "/metalrank.rb")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`bin.install "bin/metalrank", "bin/metalrank-bulk"`, "/metalrank rerank", "/metalrank bulk"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s", want)
		}
	}
	order := []string{"desc", "homepage", "url", "sha256", "license", "head", "depends_on", "def", "service", "test"}
	last := 0
	for line := range strings.Lines(string(text)) {
		word, _, _ := strings.Cut(strings.TrimPrefix(line, "  "), " ")
		at := slices.Index(order, word)
		if !strings.HasPrefix(line, "  ") || at < 0 {
			continue
		}
		if at < last {
			t.Errorf("%s stands behind %s", word, order[last])
		}
		last = at
	}
	if last != len(order)-1 {
		t.Errorf("the last part is %s", order[last])
	}
}

// TestDashboard wants each panel to have a place of its own, a title and something to show.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(operations + "/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int                      `json:"id"`
			Title   string                   `json:"title"`
			GridPos struct{ X, Y, W, H int } `json:"gridPos"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(text, &dashboard, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range dashboard.Panels {
		if p.Title == "" || len(p.Targets) == 0 || ids[p.ID] || p.GridPos.W < 1 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, is := taken[[2]int{x, y}]; is {
					t.Fatalf("%q lies over %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	if len(dashboard.Panels) < 10 {
		t.Errorf("%d panels", len(dashboard.Panels))
	}
}

// TestJudge wants the client to notice each way in which an answer can be wrong.
func TestJudge(t *testing.T) {
	c, q := newClient("v1", "v2"), &question{Query: "q", Texts: []string{"a", "b"}}
	answer := func(models ...string) string { return scores(t, q, models...) }
	for model, text := range map[string]string{"v1": answer("v1", "v1"), "v2": answer("v2", "v2")} {
		if got, err := c.judge(q, []byte(text)); err != nil || got != model {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{
		answer("v1", "v2"), answer("v3", "v3"), answer("v1"), "[]", "{}", "",
		strings.Replace(answer("v1", "v1"), `"index":1`, `"index":0`, 1),
		strings.Replace(answer("v1", "v1"), `"index":1`, `"index":2`, 1),
		strings.Replace(answer("v1", "v1"), `"score":0.`, `"score":0.1`, 1),
	} {
		if _, err := c.judge(q, []byte(text)); !errors.Is(err, errWrong) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
