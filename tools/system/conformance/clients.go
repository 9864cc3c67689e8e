package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/tools/fetched"
)

// result is a client's report: a line of JSON.
type result struct {
	Client  string  `json:"client"`
	Package string  `json:"package"`
	Version string  `json:"version"`
	Error   *string `json:"error"` // nil: all was right
}

// group is a program that runs some clients.
type group struct {
	name    string
	command []string
	folder  string
}

// groupTimeout bounds one group; the largest takes half a minute.
const groupTimeout = 5 * time.Minute

// groups returns the groups of clients to run, with the programs installed that they need.
func (o *options) groups(ctx context.Context, progress io.Writer) ([]group, error) {
	if o.Only == "schemathesis" {
		return nil, nil
	}
	folder := filepath.Join(o.Sources, "clients")
	var groups []group
	for _, c := range []struct{ list, about, name, script string }{
		{"cohere", "Cohere's client", "cohere, the newest", "cohere_own.py"},
		{"infinity", "Infinity's client, and LangChain", "Infinity", "infinity.py"},
		{"frameworks", "LangChain, LlamaIndex, Haystack and LiteLLM: 400 MB", "cohere, as LangChain and LlamaIndex want it", "cohere_own.py"},
		{"frameworks", "", "frameworks", "frameworks.py"},
	} {
		interpreter, err := o.environment(ctx, filepath.Join(folder, "requirements-"+c.list+".txt"), c.about, progress)
		if err != nil {
			return nil, err
		}
		groups = append(groups, group{c.name, []string{interpreter, filepath.Join(folder, c.script)}, ""})
	}
	node, err := fetched.NodeModules(ctx, o.cache, folder, "Cohere and the AI SDK for Node.js, 150 MB", progress)
	return append(groups, group{"Node.js", []string{"node", "clients.mjs"}, node}), err
}

// environment returns the interpreter of an environment with the packages of a list.
func (o *options) environment(ctx context.Context, list, about string, progress io.Writer) (interpreter string, err error) {
	requirements, err := os.ReadFile(list)
	if err != nil {
		return "", err
	}
	return fetched.Environment{Requirements: requirements, About: about}.Install(ctx, o.cache, progress)
}

// run returns the clients' reports. A client that fails is no error; a program without any report is one.
func (g *group) run(ctx context.Context, env []string, stderr io.Writer) ([]result, error) {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, g.command[0], g.command[1:]...)
	command.Env, command.Dir, command.WaitDelay = env, g.folder, time.Second
	var stdout, log bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &log
	runErr := command.Run()
	results, err := parseResults(&stdout)
	if err == nil && len(results) == 0 {
		err = errors.New("no client reported anything")
	}
	var exit *exec.ExitError
	if err == nil && runErr != nil && (!errors.As(runErr, &exit) || exit.ExitCode() != 1) {
		err = runErr
	}
	if err != nil {
		_, _ = log.WriteTo(stderr)
	}
	return results, err
}

// parseResults reads lines of JSON; it skips lines that libraries print.
func parseResults(r io.Reader) ([]result, error) {
	var results []result
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), `{"client"`) {
			continue
		}
		var one result
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return results, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		results = append(results, one)
	}
	return results, lines.Err()
}

// The texts are such that their order is not that of their scores, and that they need escapes and more than ASCII.
const query = "how do I remove limescale from a kettle?"

var documents = []string{
	"A kettle hole is a pond left behind where a block of ice melted.",
	"Limescale dissolves in a mild acid: fill the kettle with water and vinegar, boil, wait an hour, rinse.",
	"Opening hours: nine to six, \"Sundays\" closed.\n",
	"Hard water carries calcium and magnesium – that is what limescale is made of.",
	"Der Wasserkocher wird mit Essig entkalkt. 水垢は酢で取れます。",
}

// encodeCase returns the JSON that clients/case.py reads.
func encodeCase(ranking *engine.Ranking) (string, error) {
	c := struct {
		Query     string   `json:"query"`
		Documents []string `json:"documents"`
		Ranking   [][2]any `json:"ranking"` // index and score
	}{Query: query, Documents: documents}
	for _, r := range ranking.Results {
		c.Ranking = append(c.Ranking, [2]any{r.Index, r.Score})
	}
	data, err := json.Marshal(c)
	return string(data), err
}
